"""Slides of the scanners' own kinds, read by OpenSlide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fullyconv.errors import FullyconvError, ImageError, require_extra
from fullyconv.grid import Pair
from fullyconv.images.file_spec import FileSpec
from fullyconv.images.identity import check_file, identify_file, identify_folder
from fullyconv.images.pixels import lay_over_white
from fullyconv.images.region_source import RegionSource, explain
from fullyconv.images.source import PerPixel, Pixels
from fullyconv.images.stored import Bands, Stored, choose_bands, measure_levels
from fullyconv.images.tiff_segments import SegmentCache, paste

# Blocks of 3 MB, and as many of them as the regions of a tile or two touch.
BLOCK_PX, _BLOCKS_BYTES = 1024, 2**26


@dataclass(frozen=True, slots=True)
class WsiSpec(FileSpec):
    """A slide that OpenSlide reads, as red, green, blue; what was not scanned is white."""

    def open(self) -> RegionSource:
        """Opens the slide.

        Raises:
            ImageError: the file is missing, damaged, or no slide that OpenSlide knows.
            MissingExtraError: openslide is not installed.
        """
        openslide = require_extra("openslide", "wsi")
        check_file(self.path)
        try:
            slide = openslide.OpenSlide(self.path)
        except Exception as error:  # whatever damaged bytes bring about
            raise ImageError(f"{self.path}: the slide cannot be read: {_explain(error)}") from None
        try:
            return _describe(self.name, slide, self.bands)
        except FullyconvError:
            slide.close()
            raise

    def identify(self) -> str:
        """Returns a text that is another one if the file is replaced, or a file of the folder that goes with it.

        Raises:
            ImageError: the file is missing.
        """
        beside = self.path.with_suffix("")  # where MIRAX keeps the pixels
        return identify_file(self.path) + (identify_folder(beside) if beside.is_dir() else "")


class WsiFetcher:
    """Fetches regions from an open slide.

    OpenSlide wants the place of a region in whole pixels of level 0, and divides it by the level's downsample again.
    Where that is no whole number the place comes out between two pixels, and what is read is shifted by less than
    half a pixel of level 0, another way for every place. So such a level is read in blocks that always lie at the
    same places: then a pixel has one value, whichever region it is read with.
    """

    def __init__(self, slide: Any, bands: Bands) -> None:
        self._slide, self._bands = slide, bands
        self._cache = SegmentCache(_BLOCKS_BYTES)

    def fetch(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the chosen bands of a region."""
        if float(self._slide.level_downsamples[level]).is_integer():
            return self._read(level, origin_yx, size)[:, :, list(self._bands)].copy()
        out = np.empty((*size, 3), np.uint8)
        for y, x in _list_blocks(origin_yx, size):
            paste(out, self._read_block(level, y, x), (y - origin_yx[0], x - origin_yx[1]))
        return out[:, :, list(self._bands)].copy()

    def _read_block(self, level: int, y: int, x: int) -> Pixels:
        held = self._cache.get((level, y, x))
        if held is None:
            width, height = self._slide.level_dimensions[level]
            held = self._read(level, (y, x), (min(BLOCK_PX, height - y), min(BLOCK_PX, width - x)))
            self._cache.put((level, y, x), held)
        return held

    def _read(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        factor = self._slide.level_downsamples[level]
        place = round(origin_yx[1] * factor), round(origin_yx[0] * factor)
        return np.asarray(lay_over_white(self._slide.read_region(place, level, (size[1], size[0]))))

    def close(self) -> None:
        """Closes the slide."""
        self._slide.close()


def _list_blocks(origin_yx: Pair, size: Pair) -> list[Pair]:
    rows, columns = (
        range(start // BLOCK_PX * BLOCK_PX, start + length, BLOCK_PX)
        for start, length in zip(origin_yx, size, strict=True)
    )
    return [(y, x) for y in rows for x in columns]


def _describe(name: str, slide: Any, bands: Bands | None) -> RegionSource:
    levels = measure_levels([(height, width) for width, height in slide.level_dimensions])
    stored = Stored(levels, np.dtype(np.uint8), 3, (0, 1, 2), _read_microns(slide.properties))
    chosen = choose_bands(name, stored, bands)
    return RegionSource(name, stored, chosen, WsiFetcher(slide, chosen))


def _explain(error: BaseException) -> str:
    return "it is no slide of a kind that OpenSlide knows" if "Unsupported" in type(error).__name__ else explain(error)


def _read_microns(properties: Any) -> PerPixel | None:
    across, down = properties.get("openslide.mpp-x"), properties.get("openslide.mpp-y")
    return (float(down), float(across)) if across and down else None
