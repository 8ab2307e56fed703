"""The windowed head: original operations on windows cut from plain maps, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod

import torch

from fullyconv.analyze.plan import Cut, Output
from fullyconv.capture.calls import run_call
from fullyconv.graph import Pair
from fullyconv.rewrite.program import WindowedHead

# What the windows of one batch may take. A head keeps several values of about their size alive at a time.
BATCH_BYTES = 32 << 20
MOST_WINDOWS = 256


def run_head(
    head: WindowedHead, tensors: Mapping[str, torch.Tensor], grid: Pair, outputs: Sequence[Output]
) -> dict[str, torch.Tensor]:
    """Returns the values `(N, d1, ..., Gy, Gx)` of those outputs that the windowed head gives.

    Args:
        head: what runs on windows.
        tensors: the shared part's results, and the weights.
        grid: `(Gy, Gx)`.
        outputs: all outputs; those with a tensor of their own are passed over.
    """
    wanted = [output for output in outputs if not output.tensor]
    maps = [_unfold(tensors[cut.tensor], cut, grid) for cut in head.cuts]
    images = len(maps[0])
    parts: dict[str, list[torch.Tensor]] = {output.value: [] for output in wanted}
    for places, kept in _make_batches(images * grid[0] * grid[1], _choose_batch(head, maps), head.is_free):
        local = dict(tensors)
        for cut, windows in zip(head.cuts, maps, strict=True):
            local[cut.value] = _cut(windows, cut, places, grid)
        for call in head.calls:
            local.update(zip(call.outputs, run_call(call, local, len(places)), strict=False))
        for name, part in parts.items():
            part.append(local[name][:kept].clone())
    return {output.value: _lay_on_grid(torch.cat(parts[output.value]), output, images, grid) for output in wanted}


def _unfold(tensor: torch.Tensor, cut: Cut, grid: Pair) -> torch.Tensor:
    """Returns all windows `(N, Gy, Gx, C, ny, nx)` of a map, as a view."""
    windows = tensor.unfold(2, cut.extent[0], cut.step[0]).unfold(3, cut.extent[1], cut.step[1])
    return windows[:, :, : grid[0], : grid[1]].permute(0, 2, 3, 1, 4, 5)


def _cut(windows: torch.Tensor, cut: Cut, places: torch.Tensor, grid: Pair) -> torch.Tensor:
    """Returns some windows in the form that the value has in the classifier."""
    columns = places % grid[1]
    rows = places // grid[1] % grid[0]
    patches = windows[places // (grid[0] * grid[1]), rows, columns]  # (B, C, ny, nx)
    area = tuple(cells for cells in cut.extent if cells > 1)
    values = patches.reshape(len(places), *cut.channels, *area).permute(cut.order)
    shape = list(cut.shape)
    shape[cut.batch_axis] = -1
    return values.reshape(shape)


def _choose_batch(head: WindowedHead, maps: Sequence[torch.Tensor]) -> int:
    if not head.is_free:
        return head.batch
    window_bytes = sum(prod(windows.shape[3:]) * windows.element_size() for windows in maps)
    return max(1, min(MOST_WINDOWS, BATCH_BYTES // max(window_bytes, 1)))


def _make_batches(windows: int, batch: int, is_free: bool) -> Iterator[tuple[torch.Tensor, int]]:
    """Yields places of windows and how many of them count; a fixed batch is filled up with the last window."""
    for start in range(0, windows, batch):
        kept = min(batch, windows - start)
        places = torch.arange(start, start + (kept if is_free else batch))
        yield places.clamp(max=windows - 1), kept


def _lay_on_grid(values: torch.Tensor, output: Output, images: int, grid: Pair) -> torch.Tensor:
    laid = values.reshape(images, *grid, *output.shape)
    return laid.permute(0, *range(3, laid.dim()), 1, 2)
