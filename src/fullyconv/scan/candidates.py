"""Cells of a score map on disk that may be detections: those that stand out, found tile by tile.

A cell stands out if it reaches the threshold and no neighbour exceeds it. At a tile's edge some neighbours belong to
other tiles: there a cell counts until all tiles are done, and is then looked at again with all its neighbours. What is
left is just what `find_peaks` finds on the whole map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fullyconv.errors import OptionError
from fullyconv.grid import Pair
from fullyconv.scan.job import Scores
from fullyconv.scan.ledger import Candidate
from fullyconv.scan.peaks import find_peaks
from fullyconv.scan.score_store import ScoreStore
from fullyconv.scan.tiles import Span, Tile


@dataclass(frozen=True, slots=True)
class Seeking:
    """What is to be found.

    Attributes:
        threshold: the least score.
        outputs: which of the stored scores are looked at.
    """

    threshold: float
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        if not np.isfinite(self.threshold):
            raise OptionError(f"threshold: expected a number, got {self.threshold}")


def find_candidates(block: Scores, tile: Tile, seeking: Seeking) -> list[Candidate]:
    """Returns the cells of a tile that stand out among those of the tile.

    Args:
        block: its scores, `(K, rows, columns)`, NaN where they are not wanted.
        tile: where it lies.
        seeking: what is to be found.
    """
    return list(_seek(block, (tile.rows[0], tile.columns[0]), seeking))


def settle_candidates(
    candidates: Sequence[Candidate], tile: Tile, store: ScoreStore, seeking: Seeking
) -> list[Candidate]:
    """Returns those of a tile's candidates that no cell of another tile exceeds, once all tiles are in the store."""
    if not any(_is_at_edge(each.cell, tile) for each in candidates):
        return list(candidates)
    rows, columns = (
        (max(0, span[0] - 1), min(cells, span[1] + 1))
        for span, cells in zip((tile.rows, tile.columns), store.shape[1:], strict=True)
    )
    around = _seek(store.read(rows, columns), (rows[0], columns[0]), seeking)
    standing = {(each.output, each.cell) for each in around}
    return [each for each in candidates if (each.output, each.cell) in standing]


def _seek(block: Scores, origin: Pair, seeking: Seeking) -> Iterator[Candidate]:
    for output in seeking.outputs:
        scores = np.nan_to_num(block[output], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        for row, column in find_peaks(scores, seeking.threshold).tolist():
            yield Candidate(output, (row + origin[0], column + origin[1]), float(scores[row, column]))


def _is_at_edge(cell: Pair, tile: Tile) -> bool:
    return any(_ends(index, span) for index, span in zip(cell, (tile.rows, tile.columns), strict=True))


def _ends(index: int, span: Span) -> bool:
    return index in (span[0], span[1] - 1)
