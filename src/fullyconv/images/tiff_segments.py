"""Regions of one TIFF page: the tiles and strips that they touch are read and decoded, no others."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from tifffile import FileHandle, TiffFrame, TiffPage

from fullyconv.grid import Pair
from fullyconv.images.source import Pixels

# The largest piece of a file that is decoded at once, and held, for it would be decoded again for every region: an
# eighth of the 2 GB that a scan gets.
HELD_BYTES = 2**28

# What is held of smaller ones: a row of tiles of 512 pixels of RGB, across a slide of 40,000, so that a scan, which
# goes row by row, decodes hardly any twice.
_SHARED_BYTES = 2**26

_JPEGS = frozenset({6, 7, 34892, 33007})
_END_OF_IMAGE = b"\xff\xd9"

Key: TypeAlias = tuple[int, ...]


class DamageError(Exception):
    """A tile or strip is damaged or missing; says which and why."""


class SegmentCache:
    """Decoded tiles and strips, the latest used; regions side by side share those at their border."""

    def __init__(self, capacity_bytes: int = _SHARED_BYTES) -> None:
        self._capacity, self._held = capacity_bytes, 0
        self._segments: OrderedDict[Key, Pixels] = OrderedDict()

    def get(self, key: Key) -> Pixels | None:
        """Returns a segment if it is held."""
        if key in self._segments:
            self._segments.move_to_end(key)
        return self._segments.get(key)

    def put(self, key: Key, pixels: Pixels) -> None:
        """Holds a segment, however large, and lets go of those used longest ago."""
        self._segments[key] = pixels
        self._held += pixels.nbytes
        while self._held > self._capacity and len(self._segments) > 1:
            self._held -= self._segments.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Lets go of all."""
        self._segments.clear()
        self._held = 0


@dataclass(frozen=True, slots=True)
class Lattice:
    """How a page is cut.

    Attributes:
        size: of a tile, or of a strip, `(height, width)` in pixels.
        counts: how many there are, down and across, for each plane.
        samples: how many a pixel has in one segment.
    """

    size: Pair
    counts: Pair
    samples: int


def measure_lattice(page: TiffPage) -> Lattice:
    """Returns how a page is cut into tiles or strips."""
    width, height = int(page.imagewidth), int(page.imagelength)
    if page.is_tiled:
        size = int(page.tilelength), int(page.tilewidth)
    else:
        size = min(int(page.rowsperstrip), height), width
    counts = -(-height // size[0]), -(-width // size[1])
    return Lattice(size, counts, int(page.samplesperpixel) if page.planarconfig == 1 else 1)


def find_dtype(page: TiffPage) -> np.dtype[Any]:
    """Returns the kind of a page's values, in this machine's byte order."""
    return np.dtype(page.dtype).newbyteorder("=")


class PageReader:
    """Reads regions of one page.

    Args:
        page: the page.
        keyframe: the page that says how it is stored.
        key: which page it is, for the cache.
        cache: what holds decoded segments.
    """

    def __init__(self, page: TiffPage | TiffFrame, keyframe: TiffPage, *, key: int, cache: SegmentCache) -> None:
        self._page, self._keyframe, self._key, self._cache = page, keyframe, key, cache
        self._lattice, self._dtype = measure_lattice(keyframe), find_dtype(keyframe)

    def read(self, origin_yx: Pair, size: Pair, samples: tuple[int, ...]) -> Pixels:
        """Returns `samples`, counted from 0, of a region, `(height, width, S)` as they are stored.

        Raises:
            DamageError: a segment is damaged or missing.
        """
        out = np.empty((*size, len(samples)), self._dtype)
        if self._keyframe.planarconfig == 1:
            self._fill(out, origin_yx, plane=0, samples=samples)
        else:
            for place, sample in enumerate(samples):
                self._fill(out[:, :, place : place + 1], origin_yx, plane=sample, samples=(0,))
        return out

    def _fill(self, out: Pixels, origin_yx: Pair, *, plane: int, samples: tuple[int, ...]) -> None:
        rows, columns = (
            range(start // step, (start + length - 1) // step + 1)
            for start, length, step in zip(origin_yx, out.shape[:2], self._lattice.size, strict=True)
        )
        for row in rows:
            for column in columns:
                segment = self._get((plane * self._lattice.counts[0] + row) * self._lattice.counts[1] + column)
                origin = row * self._lattice.size[0], column * self._lattice.size[1]
                paste(out, _pick(segment, samples), (origin[0] - origin_yx[0], origin[1] - origin_yx[1]))

    def _get(self, index: int) -> Pixels:
        held = self._cache.get((self._key, index))
        if held is not None:
            return held
        try:
            segment = self._decode(index)
        except Exception as error:  # decoders raise anything on damaged bytes
            raise DamageError(f"{self._name(index)}: {' '.join(str(error).split()) or type(error).__name__}") from error
        self._cache.put((self._key, index), segment)
        return segment

    def _decode(self, index: int) -> Pixels:
        keyframe = self._keyframe
        arguments: dict[str, Any] = {}
        if self._is_left_out(index):
            return np.full((*self._lattice.size, self._lattice.samples), keyframe.nodata, self._dtype)
        data = self._load(index)
        if keyframe.compression in _JPEGS:
            _check_jpeg(data, has_end=keyframe.jpegheader is None)
            arguments = {"jpegtables": self._page.jpegtables, "jpegheader": keyframe.jpegheader}
        decoded = keyframe.decode(data, index, **arguments)[0]
        assert decoded is not None, "there were bytes to decode"
        return np.asarray(decoded[0])  # of the segment's size, or of its part within the page: the decoder checks it

    def _is_left_out(self, index: int) -> bool:
        """Returns whether this is a tile of nothing but "no data", which GDAL leaves out of its files."""
        offsets, counts = self._page.dataoffsets, self._page.databytecounts
        is_map = self._keyframe.is_geotiff or self._keyframe.is_gdal
        return bool(is_map and index < min(len(offsets), len(counts)) and offsets[index] == 0 and counts[index] == 0)

    def _load(self, index: int) -> bytes:
        offsets, counts = self._page.dataoffsets, self._page.databytecounts
        if index >= min(len(offsets), len(counts)) or offsets[index] == 0 or counts[index] == 0:
            raise DamageError("it is missing from the file")
        return read_bytes(self._page.parent.filehandle, offsets[index], counts[index])

    def _name(self, index: int) -> str:
        row, column = divmod(index % (self._lattice.counts[0] * self._lattice.counts[1]), self._lattice.counts[1])
        kind = "tile" if self._keyframe.is_tiled else "strip"
        y, x = row * self._lattice.size[0], column * self._lattice.size[1]
        method = getattr(self._keyframe.compression, "name", self._keyframe.compression)
        return f"{kind} {index} (x={x}, y={y}; {method})"


def read_bytes(file: FileHandle, offset: int, count: int) -> bytes:
    """Returns `count` bytes of a file; however large a damaged table says that they are, no more memory is taken.

    Raises:
        DamageError: the file is too short.
    """
    file.seek(offset)
    data: bytes = file.read(min(count, max(0, file.size - offset)))
    if len(data) < count:
        raise DamageError(f"expected {count} bytes at {offset}, got {len(data)}: the file is too short")
    return data


def paste(out: Pixels, segment: Pixels, offset_yx: Pair) -> None:
    """Copies the part of `segment` that lies in `out`, where the segment's corner lies at `offset_yx` of `out`."""
    places, parts = [], []
    for offset, length, room in zip(offset_yx, segment.shape[:2], out.shape[:2], strict=True):
        start, stop = max(0, offset), min(room, offset + length)
        places.append(slice(start, stop))
        parts.append(slice(start - offset, stop - offset))
    out[places[0], places[1]] = segment[parts[0], parts[1]]


def _pick(segment: Pixels, samples: tuple[int, ...]) -> Pixels:
    """Returns the samples of a segment; without copying it where they are all of them."""
    return segment if samples == tuple(range(segment.shape[2])) else segment[:, :, list(samples)]


def _check_jpeg(data: bytes, *, has_end: bool) -> None:
    """Checks that the data ends as JPEG does: the decoder would fill in what is cut off with grey."""
    if has_end and data.rfind(_END_OF_IMAGE, -1024) < 0 and _END_OF_IMAGE not in data:
        raise DamageError("its JPEG data has no end")
