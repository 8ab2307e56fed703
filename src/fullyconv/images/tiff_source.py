"""TIFF files as images: tiled or in strips, pyramids, BigTIFF, OME-TIFF, SVS, NDPI."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tifffile import TiffFile, TiffPage

from fullyconv.errors import FullyconvError, ImageError
from fullyconv.grid import Pair
from fullyconv.images.file_spec import FileSpec
from fullyconv.images.geo_source import read_georeference
from fullyconv.images.identity import check_file
from fullyconv.images.region_source import RegionSource, explain
from fullyconv.images.source import Pixels
from fullyconv.images.stored import Bands, NotByRegionError, Stored, choose_bands, measure_levels
from fullyconv.images.tiff_colour import Colour, plan_colour
from fullyconv.images.tiff_layout import TiffLevel, lay_out
from fullyconv.images.tiff_rows import RowReader, has_plain_rows
from fullyconv.images.tiff_scale import read_scale
from fullyconv.images.tiff_segments import HELD_BYTES, PageReader, SegmentCache, find_dtype, measure_lattice
from fullyconv.images.turning import Turn, TurnedFetcher, find_turn

_ORIENTATION = 274

# What tifffile logs of damaged files is in the errors; without a handler it would be printed as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class TiffSpec(FileSpec):
    """A TIFF file as an image, read tile by tile.

    - Of a file with several images, the largest; of unrelated pages of one size, the first.
    - Palettes, CMYK and YCbCr become RGB; where white is 0, that is turned round; values of 1, 2 and 4 bits are
      spread over 0 to 255; colours multiplied by their transparency are divided by it.
    - The orientation tag is applied, but for maps.
    - A tile or strip that is missing, cut off or does not decode is an error of the regions that touch it. What GDAL
      leaves out of a map, as nothing but "no data", has that value. Damage that leaves data that can be decoded
      passes unnoticed, as in any reader: within what is not compressed, and mostly within JPEG, WebP and JPEG 2000.
    """

    def open(self) -> RegionSource:
        """Opens the file.

        Raises:
            ImageError: the file is missing, no TIFF, damaged in its directory, holds values or colours of a kind that
                is not known, or cannot be read by region.
        """
        check_file(self.path)
        try:
            file = TiffFile(self.path)
        except Exception as error:  # whatever damaged bytes bring about
            raise ImageError(f"{self.path}: the TIFF file cannot be read: {explain(error)}") from None
        try:
            return _open(self.path, file, self.bands)
        except FullyconvError:
            file.close()
            raise
        except Exception as error:
            file.close()
            raise ImageError(f"{self.path}: the TIFF file cannot be read: {explain(error)}") from None


def _open(path: Path, file: TiffFile, bands: Bands | None) -> RegionSource:
    name = str(path)
    levels = lay_out(name, file)
    page = levels[0].keyframe
    colour = plan_colour(name, page, len(levels[0].pages))
    turn = _find_turn(page)
    stored = Stored(
        measure_levels([turn.turn_size(level.size) for level in levels]),
        colour.dtype,
        colour.bands,
        colour.usual,
        turn.turn_scale(read_scale(file, page)),
        read_georeference(path) if page.is_geotiff else None,
    )
    chosen = choose_bands(name, stored, bands)
    for level in levels:
        _check_pieces(name, level.keyframe)
    fetcher = TurnedFetcher(TiffFetcher(file, levels, colour, chosen), turn, [level.size for level in stored.levels])
    return RegionSource(name, stored, chosen, fetcher)


def _find_turn(page: TiffPage) -> Turn:
    """Returns how the image becomes upright; maps lie as their georeference says, whatever the tag."""
    return Turn() if page.is_geotiff else find_turn(int(page.tags.valueof(_ORIENTATION, 1)))


def _check_pieces(name: str, page: TiffPage) -> None:
    """Checks that no piece of the file is too large to be decoded for a region of it."""
    lattice = measure_lattice(page)
    piece_bytes = lattice.size[0] * lattice.size[1] * int(page.samplesperpixel) * find_dtype(page).itemsize
    if piece_bytes > HELD_BYTES and not has_plain_rows(page):
        raise NotByRegionError(
            f"{name}: expected tiles or strips of at most {HELD_BYTES >> 20} MB, got {piece_bytes >> 20} MB in one, so "
            f"that no part can be read by itself; convert it: {suggest_conversion(name)}"
        )


def suggest_conversion(name: str) -> str:
    """Returns the command that makes a file of tiles of an image, within little memory."""
    script = (
        f"import pyvips; pyvips.Image.new_from_file({name!r}, access='sequential')"
        ".tiffsave('tiled.tif', tile=True, pyramid=True, compression='deflate', bigtiff=True)"
    )
    return f"pip install 'fullyconv[vips]' && python -c \"{script}\""


class TiffFetcher:
    """Fetches regions from an open TIFF file."""

    def __init__(self, file: TiffFile, levels: tuple[TiffLevel, ...], colour: Colour, bands: Bands) -> None:
        self._file, self._colour, self._bands = file, colour, bands
        self._cache = SegmentCache()
        self._readers: list[list[PageReader | RowReader]] = []
        for level in levels:
            start = sum(map(len, self._readers))
            self._readers.append([self._make_reader(level, place, start) for place in range(len(level.pages))])
        self._samples = int(levels[0].keyframe.samplesperpixel)

    def fetch(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the chosen bands of a region."""
        if self._colour.convert is None:
            return self._read(level, origin_yx, size, self._bands)
        every = tuple(range(self._samples * len(self._readers[level])))
        bands = self._colour.convert(self._read(level, origin_yx, size, every))
        return np.ascontiguousarray(bands[:, :, list(self._bands)])

    def close(self) -> None:
        """Lets go of the file and of what was decoded."""
        self._cache.clear()
        self._file.close()

    def _read(self, level: int, origin_yx: Pair, size: Pair, bands: Bands) -> Pixels:
        readers = self._readers[level]
        if len(readers) == 1:
            return readers[0].read(origin_yx, size, bands)
        return np.concatenate([readers[band].read(origin_yx, size, (0,)) for band in bands], axis=2)

    def _make_reader(self, level: TiffLevel, place: int, start: int) -> PageReader | RowReader:
        page, keyframe = level.pages[place], level.keyframe
        if has_plain_rows(keyframe):
            return RowReader(page, keyframe)
        return PageReader(page, keyframe, key=start + place, cache=self._cache)
