"""Any image at any scale, by region, without ever holding it whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fullyconv.errors import ImageError
from fullyconv.grid import Pair, format_size
from fullyconv.images.pixels import Image8, to_image8
from fullyconv.images.prepare import resize_part
from fullyconv.images.source import Georeference, ImageLevel, PerPixel, Pixels, Source, SourceSpec, check_region
from fullyconv.images.stored import Bands

# More pixels of the level than these are not read at once: 64 MB of RGB, and Pillow's copy of them.
_LARGEST_READ = 2**24


@dataclass(frozen=True, slots=True)
class ScaledSpec:
    """Another image at another scale, as grey or RGB of 8 bits, or the chosen bands.

    It is read from the coarsest level that is at least as fine, and equals that level made 8-bit (`to_image8`) and
    resized whole (`fullyconv.images.prepare.resize`), but for a rounding here and there by 1 of 255; however the
    regions are cut.

    Attributes:
        spec: the other image.
        size: `(height, width)` in pixels that it shall have.
    """

    spec: SourceSpec
    size: Pair

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ImageError(f"{self.spec.name}: expected a size of at least 1x1, got {format_size(self.size)}")

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.spec.name} at {format_size(self.size)}"

    @property
    def bands(self) -> Bands | None:
        """The bands that were chosen; None for those of a picture."""
        return self.spec.bands

    def open(self) -> ScaledSource:
        """Opens the other image.

        Raises:
            ImageError: it is missing, damaged, of a kind that is not known, or cannot be read by region.
            MissingExtraError: reading it needs an optional dependency.
        """
        return ScaledSource(self.spec.open(), self.size, self.spec.bands)

    def identify(self) -> str:
        """Returns a text that is another one if the other image is replaced, or at another scale.

        Raises:
            ImageError: the image is missing.
        """
        return f"{self.spec.identify()} {format_size(self.size)}"


class ScaledSource:
    """An open image at another scale; see `ScaledSpec`.

    Attributes:
        levels: one, of the size asked for.
        dtype: uint8.
        channels: 1 for grey, 3 for RGB, or as many as were chosen; transparency is laid over white.
        microns_per_pixel: at this scale, `(y, x)`.
        georeference: at this scale.
    """

    def __init__(self, source: Source, size: Pair, bands: Bands | None) -> None:
        self._source, self._bands = source, bands
        self._index = choose_level(source.levels, size)
        self._level = source.levels[self._index]
        factors = source.levels[0].size[0] / size[0], source.levels[0].size[1] / size[1]
        self.levels: tuple[ImageLevel, ...] = (ImageLevel(size),)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self.channels: int = source.channels - (bands is None and source.channels in (2, 4))
        self.microns_per_pixel: PerPixel | None = _scale_microns(source.microns_per_pixel, factors)
        self.georeference: Georeference | None = _scale_place(source.georeference, factors)

    def read(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the pixels of a region, uint8 `(height, width, C)`.

        Raises:
            RegionError: the region's part of the file is damaged or missing.
            ImageError: there is no such level, or the region is not inside it.
        """
        if level != 0:
            raise ImageError(f"expected level 0, the only one of a scaled image, got {level}")
        check_region(self.levels[0], origin_yx, size)
        return self._read(origin_yx, size)

    def close(self) -> None:
        """Lets go of the file; a second time does nothing."""
        self._source.close()

    def _read(self, origin_yx: Pair, size: Pair) -> Image8:
        rows, columns = (self._find_span(axis, origin_yx[axis], size[axis]) for axis in (0, 1))
        if rows.length * columns.length > _LARGEST_READ and max(size) > 1:
            return self._read_halves(origin_yx, size)
        pixels = self._source.read(self._index, (rows.start, columns.start), (rows.length, columns.length))
        image = to_image8(pixels, bands=self._bands)
        return resize_part(image, size, (columns.near, rows.near, columns.far, rows.far))

    def _read_halves(self, origin_yx: Pair, size: Pair) -> Image8:
        axis = 0 if size[0] >= size[1] else 1
        half = size[axis] // 2
        first, second = list(size), list(size)
        first[axis], second[axis] = half, size[axis] - half
        origin = list(origin_yx)
        origin[axis] += half
        parts = [
            self._read(origin_yx, (first[0], first[1])),
            self._read((origin[0], origin[1]), (second[0], second[1])),
        ]
        return np.concatenate(parts, axis=axis)

    def _find_span(self, axis: int, start: int, length: int) -> _Span:
        return find_span(self._level.size[axis], self.levels[0].size[axis], start, length)


@dataclass(frozen=True, slots=True)
class _Span:
    """What is read along one axis: `length` pixels from `start`, of which the region is `near` to `far`."""

    start: int
    length: int
    near: float
    far: float


def find_span(whole: int, scaled: int, start: int, length: int) -> _Span:
    """Returns what to read of an axis of `whole` pixels, for `length` of its `scaled` ones from `start`."""
    factor = whole / scaled
    # Bilinear weights reach one scaled pixel to either side, or one pixel where the image is enlarged; and one more
    # pixel, so that no rounding makes the edge of what was read look like the edge of the image.
    reach = max(1.0, factor) + 1
    near, far = start * factor, (start + length) * factor
    first = max(0, math.floor(near - reach))
    last = min(whole, math.ceil(far + reach))
    return _Span(first, last - first, near - first, min(far - first, float(last - first)))


def choose_level(levels: tuple[ImageLevel, ...], size: Pair) -> int:
    """Returns the coarsest level that is at least as fine as `size`; the full one where none is."""
    fine = [index for index, level in enumerate(levels) if level.size[0] >= size[0] and level.size[1] >= size[1]]
    return max(fine, default=0)


def _scale_microns(microns: PerPixel | None, factors: PerPixel) -> PerPixel | None:
    return None if microns is None else (microns[0] * factors[0], microns[1] * factors[1])


def _scale_place(place: Georeference | None, factors: PerPixel) -> Georeference | None:
    if place is None:
        return None
    a, b, c, d, e, f = place.transform
    down, across = factors
    return Georeference((a * across, b * down, c, d * across, e * down, f), place.crs_wkt)
