"""A score map on disk, of any size: one zarr array that is written block by block.

    OUT.zarr/            zarr v3 group; its attributes hold the description ("fullyconv")
        0/               (K, Gy, Gx), NaN where nothing was computed

A block is written whole, by one writer, and begins and ends where chunks do, so no chunk is ever written twice or by
two. A chunk that is there says nothing about whether its tile is done: that is for the ledger to say.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from fullyconv.errors import ImageError, OutputError
from fullyconv.grid import Pair
from fullyconv.scan.description import ScanDescription
from fullyconv.scan.job import Scores
from fullyconv.scan.tiles import Span

FINEST = "0"
_KEY = "fullyconv"

# Viewers fetch whole chunks to show a part: none is more than this many cells a side, or values in all (4 MiB of
# float32), while one file for each score of small tiles would be very many files.
_LARGEST_SIDE = 1024
_LARGEST_CHUNK = _LARGEST_SIDE**2


@dataclass(frozen=True, slots=True)
class ScoreLayout:
    """How a score map lies on disk.

    Attributes:
        shape: `(K, Gy, Gx)`.
        tile_cells: the blocks that are written, `(rows, columns)`: whole numbers of chunks.
        dtype: float32 or float64.
    """

    shape: tuple[int, int, int]
    tile_cells: Pair
    dtype: str

    @property
    def chunks(self) -> tuple[int, int, int]:
        """The shape of a chunk, `(scores, rows, columns)`."""
        rows, columns = (_divide(cells) for cells in self.tile_cells)
        return min(self.shape[0], max(1, _LARGEST_CHUNK // (rows * columns))), rows, columns


def align_tile(tile_cells: Pair) -> Pair:
    """Returns the largest tile, at most this one, that is a whole number of chunks.

    >>> align_tile((94, 3001))
    (94, 3000)
    """
    rows, columns = (cells - cells % -(-cells // _LARGEST_SIDE) for cells in tile_cells)
    return rows, columns


def _divide(cells: int) -> int:
    return cells // -(-cells // _LARGEST_SIDE)


class ScoreStore:
    """An open score map on disk.

    Attributes:
        path: the folder.
        description: what it is of.
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        self.path = path
        self._group = group
        self.description = ScanDescription.from_json(group.attrs.get(_KEY))
        array = group[FINEST]
        assert isinstance(array, zarr.Array)
        self._array = array

    @classmethod
    def create(cls, path: Path, layout: ScoreLayout, description: ScanDescription) -> ScoreStore:
        """Makes an empty store; what is at `path` is gone afterwards.

        Raises:
            OutputError: it cannot be written.
        """
        with report_writing(path):
            shutil.rmtree(path, ignore_errors=True)
            group = zarr.create_group(path, zarr_format=3, attributes={_KEY: description.to_json()})
            group.create_array(
                FINEST,
                shape=layout.shape,
                chunks=layout.chunks,
                dtype=layout.dtype,
                fill_value=np.nan,
                dimension_names=("c", "y", "x"),
                # A block without a number is written all the same: what is there does not hang on what it holds.
                config={"write_empty_chunks": True},
            )
        return cls.open(path, mode="r+")

    @classmethod
    def open(cls, path: Path, mode: str = "r") -> ScoreStore:
        """Opens a store, `mode` "r" to read, "r+" to write.

        Raises:
            ImageError: there is none, or it is damaged.
        """
        if not (path / "zarr.json").is_file():
            raise ImageError(f"{path}: expected a score map that fullyconv scan wrote, got none; check the path")
        try:
            group = zarr.open_group(path, mode="r+" if mode == "r+" else "r")
            if mode == "r+":
                _remove_parts(path)
            return cls(path, group)
        except (KeyError, ValueError, AssertionError) as error:
            raise ImageError(f"{path}: the score map is damaged ({error}); scan again") from None

    @property
    def group(self) -> zarr.Group:
        """The zarr group, for what else is kept beside the scores."""
        return self._group

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(K, Gy, Gx)`."""
        outputs, rows, columns = self._array.shape
        return outputs, rows, columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the scores, float32 or float64."""
        return np.dtype(self._array.dtype)

    def write(self, rows: Span, columns: Span, scores: Scores) -> None:
        """Writes a block, `(K, rows, columns)`; it is on disk when this returns.

        Raises:
            OutputError: it cannot be written.
        """
        with report_writing(self.path):
            self._array[:, slice(*rows), slice(*columns)] = scores

    def read(self, rows: Span, columns: Span) -> Scores:
        """Returns a block, `(K, rows, columns)`, NaN where nothing was computed."""
        return np.asarray(self._array[:, slice(*rows), slice(*columns)])


@contextmanager
def report_writing(path: Path) -> Iterator[None]:
    """Turns what the system says about writing to `path` into one line that says what to do.

    Raises:
        OutputError: the block could not write.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutputError(
                f"{path}: the disk is full; what is done is kept: make room and give the same command again"
            ) from error
        reason = error.strerror or error
        raise OutputError(f"{path}: cannot be written ({reason}); choose another place with -o") from error


def _remove_parts(path: Path) -> None:
    """Removes what writes that were cut short left behind: zarr writes beside a chunk, then renames."""
    for part in path.rglob("*.partial"):
        part.unlink(missing_ok=True)
