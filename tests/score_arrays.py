"""Scores in memory that are read block by block, for tests of what reads score maps on disk."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class ScoreArray:
    values: np.ndarray
    largest: int = field(default=0)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.values.shape

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    def read(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        block = self.values[:, slice(*rows), slice(*columns)]
        self.largest = max(self.largest, block.size)
        return block
