"""The slow definition of sliding statistics: that of the window around each cell, one cell after the other."""

from __future__ import annotations

from collections.abc import Callable

import torch

from fullyconv.graph import Pair


def slide_slowly(x: torch.Tensor, extent: Pair, score: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Returns `score` `(N, ...)` of the window centred at each cell, or of the nearest one that lies in the image."""
    rows = [
        torch.stack([score(cut_around(x, (i, j), extent)) for j in range(x.shape[3])], -1) for i in range(x.shape[2])
    ]
    return torch.stack(rows, -2)


def cut_around(x: torch.Tensor, cell: Pair, extent: Pair) -> torch.Tensor:
    """Returns the window of `extent` cells; of an even number, one more lies after the cell than before it."""
    top, left = (
        min(max(place - (size - 1) // 2, 0), cells - size)
        for place, size, cells in zip(cell, extent, x.shape[2:], strict=True)
    )
    return x[:, :, top : top + extent[0], left : left + extent[1]]


def normalise_slowly(x: torch.Tensor, extent: Pair, groups: int, eps: float = 1e-5) -> torch.Tensor:
    """Returns groups of channels by their mean and variance over the window around each cell."""

    def find_moments(window: torch.Tensor) -> torch.Tensor:
        values = window.reshape(len(x), groups, -1)
        moments = torch.stack([values.mean(2), values.var(2, correction=0)])
        return moments.repeat_interleave(x.shape[1] // groups, 2)

    mean, variance = slide_slowly(x, extent, find_moments)
    return (x - mean) / (variance + eps).sqrt()
