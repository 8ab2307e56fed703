"""Any image at any scale, by region, without ever holding it whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
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
# Pillow's boxes are numbers of 32 bits: a part of a thousand pixels ends up to 3e-5 of a pixel beside its place, which
# rounds a hundredth of the values the other way. So a part begins and ends a little outside of what is asked for,
# wherever within so many pixels the place is nearest to a number of 32 bits: mostly it then is one.
_DETOUR = 32


@dataclass(frozen=True, slots=True)
class ScaledSpec:
    """Another image at another scale, as grey or RGB of 8 bits, or the chosen bands.

    It is read from the coarsest level that is at least as fine, and equals that level made 8-bit (`to_image8`) and
    resized whole (`fullyconv.images.prepare.resize`), however the regions are cut: to 1 of 255 everywhere, and bit
    for bit but for one value in two thousand (measured on noise of 4001x5003 in regions of 700; every value where
    the scale is a whole number).

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
        box = columns.near, rows.near, columns.far, rows.far
        image = resize_part(to_image8(pixels, bands=self._bands), (rows.count, columns.count), box)
        y, x = rows.skipped, columns.skipped
        return image[y : y + size[0], x : x + size[1]].copy()

    def _read_halves(self, origin_yx: Pair, size: Pair) -> Image8:
        axis = 0 if size[0] >= size[1] else 1
        (y, x), (height, width), half = origin_yx, size, size[axis] // 2
        if axis == 0:
            parts = [self._read((y, x), (half, width)), self._read((y + half, x), (height - half, width))]
        else:
            parts = [self._read((y, x), (height, half)), self._read((y, x + half), (height, width - half))]
        return np.concatenate(parts, axis=axis)

    def _find_span(self, axis: int, start: int, length: int) -> Span:
        return find_span(self._level.size[axis], self.levels[0].size[axis], start, length)


@dataclass(frozen=True, slots=True)
class Span:
    """What is read along one axis, and what is made of it.

    Attributes:
        start: the first pixel that is read.
        length: how many are read.
        near: where the part begins that is resized, in pixels from `start`.
        far: where it ends.
        count: how many scaled pixels it becomes.
        skipped: how many of them come before those that were asked for.
    """

    start: int
    length: int
    near: float
    far: float
    count: int
    skipped: int


def find_span(whole: int, scaled: int, start: int, length: int) -> Span:
    """Returns what to read of an axis of `whole` pixels, for `length` of its `scaled` ones from `start`."""
    factor = Fraction(whole, scaled)
    before = range(start, max(-1, start - _DETOUR), -1)
    first = _find_nearest(before, lambda place: _miss(place * factor - _find_origin(place * factor, factor)))
    origin = _find_origin(first * factor, factor)
    after = range(start + length, min(scaled, start + length + _DETOUR) + 1)
    last = _find_nearest(after, lambda place: _miss(place * factor - origin))
    far = last * factor
    stop = min(whole, math.ceil(far + _find_reach(factor)))
    near = float(first * factor - origin)
    return Span(origin, stop - origin, near, float(far - origin), last - first, start - first)


def _find_reach(factor: Fraction) -> Fraction:
    # Bilinear weights reach one scaled pixel to either side, or one pixel where the image is enlarged; and one more
    # pixel, so that no rounding makes the edge of what was read look like the edge of the image.
    return max(Fraction(1), factor) + 1


def _find_origin(near: Fraction, factor: Fraction) -> int:
    return max(0, math.floor(near - _find_reach(factor)))


def _find_nearest(places: range, miss: Callable[[int], Fraction]) -> int:
    """Returns the first place that misses nothing, or else the one that misses least."""
    missed = {}
    for place in places:
        missed[place] = miss(place)
        if missed[place] == 0:
            return place
    return min(missed, key=lambda place: missed[place])


def _miss(place: Fraction) -> Fraction:
    """Returns how far a place is from the number of 32 bits that Pillow makes of it."""
    return abs(place - Fraction(float(np.float32(float(place)))))


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
