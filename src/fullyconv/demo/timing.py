"""The same scores in three ways, timed in turn: crop by crop, crops in batches, the converted network.

The three ways run one after the other in every round, so that a machine that slows down slows all of them;
the medians over the rounds are compared. Cutting the crops out of the image is part of the two ways that need
them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from fullyconv.grid import Grid

# Tried once each; the fastest serves as the best that batched crops can do on this machine.
BATCH_SIZES = (16, 64, 256)


@dataclass(frozen=True, slots=True)
class ThreeWays:
    """What three ways to the same scores took, and how far apart their scores are.

    Attributes:
        image_size: `(height, width)` in pixels.
        window: `(height, width)` in pixels.
        grid_shape: scores `(Gy, Gx)`.
        one_by_one_s: median seconds of the classifier on one crop after the other.
        batched_s: median seconds of the classifier on batches of crops.
        converted_s: median seconds of the converted network on the image.
        batch: crops in a batch, the fastest of those tried.
        rounds: how often each way ran.
        max_relative_error: largest difference between the converted scores and either kind of crops,
            divided by the largest score.
    """

    image_size: tuple[int, int]
    window: tuple[int, int]
    grid_shape: tuple[int, int]
    one_by_one_s: float
    batched_s: float
    converted_s: float
    batch: int
    rounds: int
    max_relative_error: float

    @property
    def windows(self) -> int:
        """The number of scores."""
        return self.grid_shape[0] * self.grid_shape[1]

    @property
    def arithmetic_ratio(self) -> float:
        """Pixels in all windows over pixels in the image: what the overlap costs crops at least."""
        height, width = self.image_size
        return self.windows * self.window[0] * self.window[1] / (height * width)

    @property
    def batched_ratio(self) -> float:
        """How many times longer batched crops take than the converted network."""
        return self.batched_s / self.converted_s

    @property
    def one_by_one_ratio(self) -> float:
        """How many times longer one-by-one crops take than the converted network."""
        return self.one_by_one_s / self.converted_s


def compare_ways(classifier: nn.Module, dense: nn.Module, image: Tensor, *, grid: Grid, rounds: int = 5) -> ThreeWays:
    """Runs the three ways `rounds` times in turn and compares their times and their scores.

    Args:
        classifier: takes crops `(B, C, height, width)`, gives `(B, K)`; in eval mode.
        dense: takes images `(1, C, H, W)`, gives `(1, K, Gy, Gx)`.
        image: `(1, C, H, W)` in the networks' own dtype.
        grid: where the scores lie.
        rounds: how often each way runs.
    """
    size = (image.shape[-2], image.shape[-1])
    batch = _choose_batch(classifier, image, grid)
    ways = (
        partial(score_one_by_one, classifier, image, grid),
        partial(score_batched, classifier, image, grid, batch),
        lambda: dense(image)[0],
    )
    times, scores = _take_turns(ways, rounds)
    return ThreeWays(
        image_size=size,
        window=grid.window_px,
        grid_shape=grid.shape(size),
        one_by_one_s=times[0],
        batched_s=times[1],
        converted_s=times[2],
        batch=batch,
        rounds=rounds,
        max_relative_error=max(relative_error(scores[2], crops) for crops in scores[:2]),
    )


def score_one_by_one(classifier: nn.Module, image: Tensor, grid: Grid) -> Tensor:
    """Returns `(K, Gy, Gx)`: the classifier on one crop of `image` `(1, C, H, W)` after the other."""
    rows, columns = grid.shape((image.shape[-2], image.shape[-1]))
    scores = [classifier(_cut(image, grid, (i, j))) for i in range(rows) for j in range(columns)]
    return _arrange(torch.cat(scores), (rows, columns))


def score_batched(classifier: nn.Module, image: Tensor, grid: Grid, batch: int) -> Tensor:
    """Returns `(K, Gy, Gx)`: the classifier on crops of `image` `(1, C, H, W)`, `batch` at a time."""
    rows, columns = grid.shape((image.shape[-2], image.shape[-1]))
    cells = [(i, j) for i in range(rows) for j in range(columns)]
    scores = [
        classifier(torch.cat([_cut(image, grid, cell) for cell in cells[start : start + batch]]))
        for start in range(0, len(cells), batch)
    ]
    return _arrange(torch.cat(scores), (rows, columns))


def relative_error(scores: Tensor, reference: Tensor) -> float:
    """Returns the largest absolute difference, divided by the largest absolute reference."""
    return float((scores - reference).abs().max() / reference.abs().max())


def _cut(image: Tensor, grid: Grid, cell: tuple[int, int]) -> Tensor:
    x0, y0, x1, y1 = grid.box_xyxy(cell)
    return image[:, :, y0:y1, x0:x1]


def _arrange(scores: Tensor, grid_shape: tuple[int, int]) -> Tensor:
    return scores.reshape(*grid_shape, -1).permute(2, 0, 1)


def _choose_batch(classifier: nn.Module, image: Tensor, grid: Grid) -> int:
    ways = [partial(score_batched, classifier, image, grid, batch) for batch in BATCH_SIZES]
    times, _ = _take_turns(ways, rounds=1)
    return BATCH_SIZES[times.index(min(times))]


def _take_turns(ways: Sequence[Callable[[], Tensor]], rounds: int) -> tuple[list[float], list[Tensor]]:
    times: list[list[float]] = [[] for _ in ways]
    scores: list[Tensor] = [torch.empty(0) for _ in ways]
    with torch.inference_mode():
        ways[-1]()  # the first run of any network pays for memory and for choosing kernels
        for _ in range(rounds):
            for number, way in enumerate(ways):
                start = time.perf_counter()
                scores[number] = way()
                times[number].append(time.perf_counter() - start)
    return [median(taken) for taken in times], scores
