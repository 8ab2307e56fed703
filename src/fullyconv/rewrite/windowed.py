"""Windows cut from maps, in batches that fit a memory budget; the windowed head runs on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fullyconv.analyze.plan import Cut, Output
from fullyconv.capture.calls import run_call
from fullyconv.capture.liveness import find_last_uses
from fullyconv.graph import Pair
from fullyconv.rewrite.program import WindowedHead

WINDOW_MEMORY_BYTES = 32 << 20
"""What the windows of one batch may take, unless `DenseModel.with_window_memory` says otherwise."""

Compute = Callable[[list[Tensor], int], Sequence[Tensor]]
"""Makes values `(B, ...)` of B windows, given for each cut in the form that the value has in the classifier."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How many windows run together.

    Attributes:
        windows: at most so many.
        least: fewer than so many are filled up with the last one.
    """

    windows: int
    least: int


def run_head(
    head: WindowedHead, tensors: Mapping[str, Tensor], grid: Pair, outputs: Sequence[Output], memory_bytes: int
) -> dict[str, Tensor]:
    """Returns the values `(N, d1, ..., Gy, Gx)` of those outputs that the windowed head gives.

    Args:
        head: what runs on windows.
        tensors: the shared part's results, and the weights.
        grid: `(Gy, Gx)`.
        outputs: all outputs; those with a tensor of their own are passed over.
        memory_bytes: what the windows of one batch may take.
    """
    wanted = tuple(output for output in outputs if not output.tensor)
    drops = find_last_uses(head.calls, {output.value for output in wanted})

    def compute(windows: list[Tensor], count: int) -> list[Tensor]:
        local = dict(tensors)
        local.update(zip((cut.value for cut in head.cuts), windows, strict=True))
        windows.clear()
        for call, last in zip(head.calls, drops, strict=True):
            local.update(zip(call.outputs, run_call(call, local, count), strict=False))
            for name in last:
                del local[name]
        return [local[output.value] for output in wanted]

    maps = [tensors[cut.tensor] for cut in head.cuts]
    batching = choose_batching(head, memory_bytes, maps[0].element_size())
    values = run_windows(compute, head.cuts, maps, grid, batching)
    return {output.value: lay_on_grid(value, output, len(maps[0]), grid)
            for output, value in zip(wanted, values, strict=True)}  # fmt: skip


def choose_batching(head: WindowedHead, memory_bytes: int, value_bytes: int) -> Batching:
    """Returns how many windows of a head run together, so that they take about `memory_bytes`.

    Never fewer than were captured: with one window alone, an operation that drops axes of size 1 would drop the batch.
    """
    if not head.is_free:
        return Batching(head.batch, head.batch)
    return Batching(max(head.batch, memory_bytes // max(head.window_values * value_bytes, 1)), head.batch)


def run_windows(
    compute: Compute, cuts: Sequence[Cut], maps: Sequence[Tensor], grid: Pair, batching: Batching
) -> list[Tensor]:
    """Returns what `compute` makes of all windows, `(N * Gy * Gx, ...)`, image by image and row by row.

    Args:
        compute: gets a batch of windows of each cut, in a list that it may empty, and how many windows they are.
        cuts: where windows lie on the maps.
        maps: `(N, C, H, W)`, one for each cut; windows of a channels-last map are channels-last.
        grid: `(Gy, Gx)`.
        batching: how many windows run together.
    """
    views = [_unfold(map_, cut, grid) for map_, cut in zip(maps, cuts, strict=True)]
    parts = []
    for places, kept in _make_batches(len(maps[0]) * grid[0] * grid[1], batching):
        windows = [_cut(view, cut, places, grid) for view, cut in zip(views, cuts, strict=True)]
        made = compute(windows, len(places))
        parts.append([values[:kept].clone() for values in made])  # so that the batch itself can go
    return [torch.cat(pieces) for pieces in zip(*parts, strict=True)]


def lay_on_grid(values: Tensor, output: Output, images: int, grid: Pair) -> Tensor:
    """Returns values `(N * Gy * Gx, ...)` of windows as `(N, d1, ..., Gy, Gx)`."""
    laid = values.reshape(images, *grid, *output.shape)
    return laid.permute(0, *range(3, laid.dim()), 1, 2)


def _unfold(tensor: Tensor, cut: Cut, grid: Pair) -> Tensor:
    """Returns all windows of a map as a view: `(N, Gy, Gx, C, ny, nx)`."""
    high, wide = ((cells - 1) * hole + 1 for cells, hole in zip(cut.extent, cut.hole, strict=True))
    windows = tensor.unfold(2, high, cut.step[0]).unfold(3, wide, cut.step[1])
    windows = windows[:, :, : grid[0], : grid[1], :: cut.hole[0], :: cut.hole[1]]
    return windows.permute(0, 2, 3, 1, 4, 5)


def _cut(windows: Tensor, cut: Cut, places: Tensor, grid: Pair) -> Tensor:
    """Returns some windows in the form that the value has in the classifier, in the map's memory format."""
    where = (places // (grid[0] * grid[1]), places // grid[1] % grid[0], places % grid[1])
    if _has_channels_last(windows):
        patches = windows.permute(0, 1, 2, 4, 5, 3)[where].permute(0, 3, 1, 2)
    else:
        patches = windows[where]  # (B, C, ny, nx)
    if cut.order == (0, 1, 2, 3) and cut.shape[1:] == patches.shape[1:]:
        return patches
    area = tuple(cells for cells in cut.extent if cells > 1)
    values = patches.reshape(len(places), *cut.channels, *area).permute(cut.order)
    shape = list(cut.shape)
    shape[cut.batch_axis] = -1
    return values.reshape(shape)


def _has_channels_last(windows: Tensor) -> bool:
    """Returns whether neighbouring channels, and not columns, are neighbours in memory."""
    return windows.shape[3] > 1 and windows.stride(3) == 1 and windows.stride(5) > 1


def _make_batches(windows: int, batching: Batching) -> Iterator[tuple[Tensor, int]]:
    """Yields places of windows and how many of them count; the last window fills up what is too little."""
    for start in range(0, windows, batching.windows):
        kept = min(batching.windows, windows - start)
        places = torch.arange(start, start + max(kept, batching.least))
        yield places.clamp(max=start + kept - 1), kept
