"""A scan on disk, read for export: its scores at every resolution, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from fullyconv.detect import Detection
from fullyconv.errors import OptionError
from fullyconv.export.scores import ScoreReader, Values
from fullyconv.scan.driver import name_ledger
from fullyconv.scan.ledger import Ledger
from fullyconv.scan.score_store import ScoreStore
from fullyconv.scan.tiles import Span


@dataclass(frozen=True, slots=True, eq=False)
class ScoreLevel:
    """One array of scores `(K, Gy, Gx)`, of which some outputs are read.

    Attributes:
        array: the array.
        outputs: which of its scores, in this order.
    """

    array: zarr.Array[Any]
    outputs: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(K, Gy, Gx)`, K of the outputs that are read."""
        return len(self.outputs), self.array.shape[1], self.array.shape[2]

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return np.dtype(self.array.dtype)

    def read(self, rows: Span, columns: Span) -> Values:
        """Returns a block, `(K, rows, columns)`, NaN where there is no score."""
        # All at once: a chunk holds several scores, and is to be unpacked once.
        return np.asarray(self.array.oindex[np.array(self.outputs), slice(*rows), slice(*columns)])


def open_levels(store: ScoreStore, outputs: Sequence[int]) -> tuple[ScoreReader, ...]:
    """Returns the scores of a store, the finest first, then those of its coarser levels that are whole."""
    described: Any = store.group.attrs.get("ome") or {"multiscales": [{"datasets": [{"path": "0"}]}]}
    levels = []
    for each in described["multiscales"][0]["datasets"]:
        array = store.group[each["path"]]
        assert isinstance(array, zarr.Array)
        levels.append(ScoreLevel(array, tuple(outputs)))
    return tuple(levels)


def read_detections(path: Path) -> tuple[Detection, ...]:
    """Returns what a scan found, highest score first.

    Args:
        path: of its score map.

    Raises:
        ImageError: there is no ledger beside it, or it is damaged.
        OutputError: the scan is running.
        OptionError: the scan sought nothing, or has not come to its end.
    """
    with Ledger.read(name_ledger(path)) as ledger:
        if ledger.settings.get("threshold") == "none":
            raise OptionError(
                f"{path}: expected a scan that noted boxes, got one without --threshold; scan again with one"
            )
        if not ledger.is_finished:
            raise OptionError(
                f"{path}: expected a scan that came to its end, got one that was interrupted: its boxes are not known "
                "yet; give the same fullyconv scan command again"
            )
        return tuple(
            Detection(each.box_xyxy, each.score, each.class_name, each.scale) for each in ledger.list_detections()
        )
