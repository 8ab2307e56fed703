"""Regions of a TIFF page whose strips or tiles are not compressed: just their bytes are read."""

from __future__ import annotations

import numpy as np
from tifffile import TiffFrame, TiffPage

from fullyconv.grid import Pair
from fullyconv.images.source import Pixels
from fullyconv.images.tiff_segments import DamageError, find_dtype, read_bytes


def has_plain_rows(page: TiffPage) -> bool:
    """Returns whether the page is stored in strips of whole rows, as plain values of whole bytes."""
    is_plain = page.compression == 1 and page.predictor == 1 and page.fillorder == 1
    return bool(not page.is_tiled and is_plain and page.bitspersample in (8, 16) and not page.is_subsampled)


class RowReader:
    """Reads regions of one page of plain rows, however many rows a strip has.

    Args:
        page: the page.
        keyframe: the page that says how it is stored, one for which `has_plain_rows` is true.
    """

    def __init__(self, page: TiffPage | TiffFrame, keyframe: TiffPage) -> None:
        self._page, self._keyframe = page, keyframe
        self._is_together = self._keyframe.planarconfig == 1
        self._samples = int(self._keyframe.samplesperpixel) if self._is_together else 1
        self._dtype = find_dtype(keyframe).newbyteorder(page.parent.byteorder)
        self._rows_per_strip = min(int(self._keyframe.rowsperstrip), int(self._keyframe.imagelength))

    def read(self, origin_yx: Pair, size: Pair, samples: tuple[int, ...]) -> Pixels:
        """Returns `samples`, counted from 0, of a region, `(height, width, S)` as they are stored.

        Raises:
            DamageError: a strip is missing, or the file ends before it.
        """
        out = np.empty((*size, len(samples)), self._dtype.newbyteorder("="))
        for row in range(size[0]):
            if self._is_together:
                out[row] = self._read_row(0, origin_yx[0] + row, origin_yx[1], size[1])[:, list(samples)]
            else:
                for place, plane in enumerate(samples):
                    out[row, :, place] = self._read_row(plane, origin_yx[0] + row, origin_yx[1], size[1])[:, 0]
        return out

    def _read_row(self, plane: int, y: int, x: int, width: int) -> Pixels:
        strips = -(-int(self._keyframe.imagelength) // self._rows_per_strip)
        index, row = plane * strips + y // self._rows_per_strip, y % self._rows_per_strip
        pixel_bytes = self._samples * self._dtype.itemsize
        skipped = (row * int(self._keyframe.imagewidth) + x) * pixel_bytes
        data = self._load(index, skipped, width * pixel_bytes)
        return np.frombuffer(data, self._dtype).reshape(width, self._samples)

    def _load(self, index: int, skipped: int, count: int) -> bytes:
        offsets, counts = self._page.dataoffsets, self._page.databytecounts
        if index >= min(len(offsets), len(counts)) or offsets[index] == 0:
            raise DamageError(f"strip {index}: it is missing from the file")
        if skipped + count > counts[index]:
            raise DamageError(f"strip {index}: expected at least {skipped + count} bytes, got {counts[index]}")
        try:
            return read_bytes(self._page.parent.filehandle, offsets[index] + skipped, count)
        except DamageError as error:
            raise DamageError(f"strip {index}: {error}") from None
