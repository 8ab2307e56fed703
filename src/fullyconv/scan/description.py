"""What a score map on disk is of: the image, the network, and where each score lies. Kept as JSON in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fullyconv.card import ModelCard
from fullyconv.errors import ModelError
from fullyconv.grid import BoxXyxy, Grid, Pair
from fullyconv.images.source import Georeference, PerPixel
from fullyconv.scan.placement import Placement


@dataclass(frozen=True, slots=True)
class ScannedImage:
    """The image, and the resolution at which it was scanned.

    Attributes:
        name: what people call it: its path, as a rule.
        size: `(height, width)` of what was scanned, in its pixels.
        full_size: `(height, width)` of the image's finest level.
        downsample: how many pixels of the finest level a scanned one is, `(y, x)`.
        microns_per_pixel: of the finest level, `(y, x)`; None where the image does not say.
        georeference: of the finest level; None where the image has none.
    """

    name: str
    size: Pair
    full_size: Pair
    downsample: PerPixel = (1.0, 1.0)
    microns_per_pixel: PerPixel | None = None
    georeference: Georeference | None = None


@dataclass(frozen=True, slots=True)
class ScanDescription:
    """What a score map is of.

    Attributes:
        version: of fullyconv, which wrote it.
        model: what people call the network: its path, as a rule.
        card: of the network.
        grid: where each score lies, in pixels of what was scanned.
        outputs: the name of each score, in the store's order.
        image: what was scanned.
        guarantee: what the scores equal: "image crops" or "feature windows".
    """

    version: str
    model: str
    card: ModelCard
    grid: Grid
    outputs: tuple[str, ...]
    image: ScannedImage
    guarantee: str

    def locate(self, cell: Pair) -> tuple[float, float, float, float]:
        """Returns the window of cell `(i, j)` as half-open `(x0, y0, x1, y1)` in pixels of the image's finest level."""
        box: BoxXyxy = self.grid.box_xyxy(cell)
        scale_y, scale_x = self.image.downsample
        return box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y

    @property
    def placement(self) -> Placement:
        """Where the cells are in the image's finest level."""
        return Placement(self.grid, self.image.size, self.image.downsample)

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` reads, made of plain values."""
        values: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return values

    @staticmethod
    def from_json(values: object) -> ScanDescription:
        """Returns the description.

        Raises:
            ModelError: the values are not those of a description.
        """
        try:
            return _ADAPTER.validate_python(values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ModelError(f"the description of a scan is damaged at {where!r}: {first['msg'].lower()}") from None


_ADAPTER = TypeAdapter(ScanDescription)
