"""One scan as a value: which network, which image, which tiles. Every engine and every worker has the same one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fullyconv.capture.module import read_device, read_dtype
from fullyconv.errors import ModelError
from fullyconv.grid import Pair
from fullyconv.images import Image8, prepare
from fullyconv.images.pixels import to_image8
from fullyconv.images.source import Source, SourceSpec
from fullyconv.scan.network import NetworkSpec
from fullyconv.scan.scorer import DenseScorer, select_output
from fullyconv.scan.tiles import Tile, TilePlan

Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class ScanJob:
    """What is to be scanned with what. Hashable; pickles as far as network and image do.

    Attributes:
        network: which network.
        image: which image.
        level: which of the image's levels.
        plan: the tiles.
        output: which output to take of a network that has several; the first if None.
        kept: which of that output's scores to keep, by position; all if None.
        threads: how many threads torch computes a tile with; None for what the worker has. Another number sums in
            another order: the same number gives the same bytes wherever a tile is computed.
    """

    network: NetworkSpec
    image: SourceSpec
    level: int
    plan: TilePlan
    output: str | None = None
    kept: tuple[int, ...] | None = None
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class TileWork:
    """One tile to be computed, or those parts of it that are wanted.

    Attributes:
        number: its position in the plan.
        pieces: of the tile, apart from one another; the tile itself where all of it is wanted.
    """

    number: int
    pieces: tuple[Tile, ...]

    @property
    def pixels(self) -> int:
        """How many pixels it reads."""
        return sum(piece.size[0] * piece.size[1] for piece in self.pieces)


def read_pieces(source: Source, job: ScanJob, work: TileWork) -> list[Image8]:
    """Returns the pixels of each piece, uint8 `(H, W, C)`.

    Raises:
        RegionError: a part of the image is damaged.
    """
    origins = [(piece.y_px[0], piece.x_px[0]) for piece in work.pieces]
    regions = zip(origins, work.pieces, strict=True)
    return [to_image8(source.read(job.level, origin, piece.size), bands=job.image.bands) for origin, piece in regions]


def score_pieces(dense: DenseScorer, job: ScanJob, work: TileWork, images: Sequence[Image8]) -> Scores:
    """Returns the scores of a tile, `(K, rows, columns)`, NaN where they are not wanted.

    Raises:
        ModelError: a score is not a number, or the scores do not have the grid's shape.
        OptionError: the network has no such output.
    """
    if job.threads is not None and torch.get_num_threads() != job.threads:
        torch.set_num_threads(job.threads)
    tile = job.plan[work.number]
    block: Scores | None = None
    for piece, image in zip(work.pieces, images, strict=True):
        scores = score_tile(dense, image, piece, job.output)
        scores = scores if job.kept is None else scores[list(job.kept)]
        if piece == tile:
            return np.ascontiguousarray(scores)
        if block is None:
            block = np.full((len(scores), *_count_cells(tile)), np.nan, scores.dtype)
        block[(slice(None), *_place(piece, tile))] = scores
    assert block is not None, "a tile without a piece is not worked on"
    return block


def score_tile(dense: DenseScorer, image: Image8, tile: Tile, output: str | None) -> Scores:
    """Returns the scores that the tile owns, `(K, rows, columns)`, float32 or float64.

    Args:
        dense: the network.
        image: the pixels that the tile reads, uint8 `(H, W, C)`.
        tile: which cells it owns.
        output: which output to take of a network that has several; the first if None.

    Raises:
        ModelError: a score is not a number, or the scores do not have the grid's shape.
        OptionError: the network has no such output.
    """
    pixels = prepare(image, dense.card)
    dtype = read_dtype(dense.module)
    with torch.inference_mode():
        outputs = dense(torch.from_numpy(pixels)[None].to(device=read_device(dense.module), dtype=dtype))
    scores = _flatten_outputs(select_output(outputs, output), dense.grid.shape(tile.size))
    owned = scores[(slice(None), *_owned_cells(tile))].cpu()
    values: Scores = (owned if dtype == torch.float64 else owned.float()).numpy()
    if np.isnan(values).any():
        raise ModelError("expected scores that are numbers, got NaN; look for NaN among the network's weights")
    return values


def _place(piece: Tile, tile: Tile) -> tuple[slice, slice]:
    rows, columns = (
        slice(inner[0] - outer[0], inner[1] - outer[0])
        for inner, outer in ((piece.rows, tile.rows), (piece.columns, tile.columns))
    )
    return rows, columns


def _count_cells(tile: Tile) -> Pair:
    return tile.rows[1] - tile.rows[0], tile.columns[1] - tile.columns[0]


def _owned_cells(tile: Tile) -> tuple[slice, slice]:
    top, left = tile.offset_cells
    rows, columns = _count_cells(tile)
    return slice(top, top + rows), slice(left, left + columns)


def _flatten_outputs(scores: torch.Tensor, grid_shape: Pair) -> torch.Tensor:
    """Returns the scores of one image `(1, ..., Gy, Gx)` as `(K, Gy, Gx)`, whatever axes its outputs have."""
    if len(scores) != 1 or scores.ndim < 3 or tuple(scores.shape[-2:]) != grid_shape:
        raise ModelError(
            f"expected scores of shape (1, K, {grid_shape[0]}, {grid_shape[1]}) from the network, "
            f"got {tuple(scores.shape)}; choose another of its outputs"
        )
    return scores.reshape(-1, *grid_shape)
