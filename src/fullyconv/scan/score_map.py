"""Runs a dense network over an image of any size and keeps every score where it belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from fullyconv.grid import Grid, Pair
from fullyconv.images import Image8, match_channels
from fullyconv.scan.job import Scores, score_tile
from fullyconv.scan.memory import DEFAULT_MEMORY_BYTES, largest_tile_px
from fullyconv.scan.scorer import DenseScorer
from fullyconv.scan.tiles import Tile, plan_tiles

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class ScoreMap:
    """The scores of one image.

    Attributes:
        scores: `(K, Gy, Gx)`, after the network's own last activation; float32, or float64 from a network
            in double precision.
        grid: where each score lies in the image.
        image_size: `(height, width)` in pixels.
    """

    scores: Scores
    grid: Grid
    image_size: Pair


def scan(
    dense: DenseScorer,
    image: Image8,
    *,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    tile_px: int | None = None,
    output: str | None = None,
    progress: Progress | None = None,
) -> ScoreMap:
    """Returns the network's scores for every window of the image: what one run over the whole image gives.

    The image is read tile by tile, so that neither a floating-point copy of it nor the network's feature maps
    of it are ever whole in memory.

    Args:
        dense: the converted network.
        image: uint8 `(H, W, C)`, at least the window.
        memory_bytes: about what running a tile may take; see `measure_bytes_per_pixel` for the rule.
        tile_px: the pixels a tile may read, in place of the rule.
        output: which output to take of a network that has several; the first if None. See `select_output`.
        progress: called after each tile with the grid cells done and those there are.

    Raises:
        ImageError: the image is smaller than the window, or its channels do not suit the network.
        ModelError: a score is not a number, or the scores do not have the grid's shape.
        OptionError: there is no output of that name.
    """
    match_channels(image[:1, :1], dense.card)
    size = (image.shape[0], image.shape[1])
    shape = dense.grid.shape(size)
    tile_px = tile_px or largest_tile_px(dense, memory_bytes)
    plan = plan_tiles(dense.grid, size, dense.margins_px, tile_px=tile_px, begin_px=dense.own_stride_px)
    blocks = ((tile, score_tile(dense, image[slice(*tile.y_px), slice(*tile.x_px)], tile, output)) for tile in plan)
    scores = _assemble(_report(blocks, progress, shape[0] * shape[1]), shape)
    return ScoreMap(scores=scores, grid=dense.grid, image_size=size)


def _report(
    blocks: Iterator[tuple[Tile, Scores]], progress: Progress | None, cells: int
) -> Iterator[tuple[Tile, Scores]]:
    done = 0
    for tile, block in blocks:
        yield tile, block
        done += tile.cells
        if progress is not None:
            progress(done, cells)


def _assemble(blocks: Iterator[tuple[Tile, Scores]], shape: Pair) -> Scores:
    first, block = next(blocks)
    scores: Scores = np.empty((len(block), *shape), block.dtype)
    for tile, values in chain([(first, block)], blocks):
        scores[:, slice(*tile.rows), slice(*tile.columns)] = values
    return scores
