"""What every image of any size is, however it is stored: levels, sizes, and pixels by region.

A *source* is an open image. Its *spec* says which image it is: a small frozen value that pickles, so that another
process, or another machine, opens the same image for itself. Handles of image libraries survive no fork, and most of
them no second thread: pass specs, open lazily.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fullyconv.errors import ImageError
from fullyconv.grid import Pair, format_size

Pixels: TypeAlias = NDArray[np.generic]
PerPixel: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ImageLevel:
    """One resolution of an image.

    Attributes:
        size: `(height, width)` in pixels.
        downsample: how many pixels of level 0 one of its pixels is, `(y, x)`; 1 for level 0.
    """

    size: Pair
    downsample: PerPixel = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Georeference:
    """Where an image lies on Earth.

    Attributes:
        transform: the affine `(a, b, c, d, e, f)` that takes the corner `(x, y)` of a pixel of level 0 to
            `(a*x + b*y + c, d*x + e*y + f)` in the coordinate system, as in rasterio.
        crs_wkt: the coordinate system, as well-known text.
    """

    transform: tuple[float, float, float, float, float, float]
    crs_wkt: str


@runtime_checkable
class SourceSpec(Protocol):
    """Which image, and which of its bands; frozen, small, hashable, and pickles."""

    @property
    def name(self) -> str:
        """What people call the image: its path, as a rule."""
        ...

    @property
    def bands(self) -> tuple[int, ...] | None:
        """The bands that were chosen, counted from 1; None for those of a picture, transparency last if it has one."""
        ...

    def open(self) -> Source:
        """Opens the image.

        Raises:
            ImageError: the image is missing, damaged, of a kind that is not known, or cannot be read by region.
            MissingExtraError: reading it needs an optional dependency.
        """
        ...

    def identify(self) -> str:
        """Returns a text that is another one if the image is replaced by another, without reading all of it.

        Raises:
            ImageError: the image is missing.
        """
        ...


class Source(Protocol):
    """An open image, to be used in one thread at a time, by whoever opened it.

    Attributes:
        levels: its resolutions, the full one first; at least one.
        dtype: of its values, uint8 or uint16.
        channels: how many `read` gives: 1 grey, 3 red, green, blue, 4 with transparency last, or the selected bands.
        microns_per_pixel: of level 0, `(y, x)`; None where the file does not say.
        georeference: None where the file has none.
    """

    @property
    def levels(self) -> tuple[ImageLevel, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def microns_per_pixel(self) -> PerPixel | None: ...  # noqa: D102
    @property
    def georeference(self) -> Georeference | None: ...  # noqa: D102

    def read(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the pixels of a region, `(height, width, C)`.

        Args:
            level: which resolution.
            origin_yx: its top-left pixel `(y, x)`, in pixels of that level.
            size: `(height, width)` in pixels of that level; the region lies inside the level.

        Raises:
            RegionError: the region's part of the file is damaged or missing; other regions may be fine.
            ImageError: the region is not inside the level.
        """
        ...

    def close(self) -> None:
        """Lets go of the file; a second time does nothing."""
        ...


def check_region(level: ImageLevel, origin_yx: Pair, size: Pair) -> None:
    """Checks that a region lies inside a level.

    Raises:
        ImageError: it does not, or is empty.
    """
    stop = origin_yx[0] + size[0], origin_yx[1] + size[1]
    inside = min(origin_yx) >= 0 and min(size) >= 1 and stop[0] <= level.size[0] and stop[1] <= level.size[1]
    if not inside:
        raise ImageError(
            f"expected a region inside an image of {format_size(level.size)}, got {format_size(size)} from "
            f"x={origin_yx[1]}, y={origin_yx[0]}; give one that lies inside"
        )
