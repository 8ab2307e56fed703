"""Padding at the window's border, where crops have it: to first order, from bands, or exactly, window by window.

A full-height band one window wide has the crop's own padding at its left and right; a full-width band one window
high has it at top and bottom. The sum of both, less the plain dense run, leaves out only what the two axes do
together (DESIGN, section 2). It costs `1 + w/sx + h/sy` dense runs; windows cost `(w/sx) * (h/sy)`.

Bands and windows run in batches of no more pixels than the image has, so that they need no more memory than one
plain run: tiles that fit for that fit for these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from fullyconv.grid import Grid

Run = Callable[[torch.Tensor], Sequence[torch.Tensor]]


def run_bands(run: Run, images: torch.Tensor, grid: Grid) -> list[torch.Tensor]:
    """Returns the logits with padding at the window's border to first order.

    Args:
        run: gives the logits `(N, d1, ..., Gy, Gx)` of each output on images of any size.
        images: `(N, C, H, W)`.
        grid: the network's grid.
    """
    rows, columns = grid.shape((int(images.shape[2]), int(images.shape[3])))
    upright = images.unfold(3, grid.window_px[1], grid.stride_px[1])[:, :, :, :columns].permute(3, 0, 1, 2, 4)
    lying = images.unfold(2, grid.window_px[0], grid.stride_px[0])[:, :, :rows].permute(2, 0, 1, 4, 3)
    dense, by_column, by_row = run(images), _run_each(run, upright, images), _run_each(run, lying, images)
    return [
        (torch.cat(list(column), -1) + torch.cat(list(row), -2)) - plain
        for plain, column, row in zip(dense, by_column, by_row, strict=True)
    ]


def run_windows(run: Run, images: torch.Tensor, grid: Grid) -> list[torch.Tensor]:
    """Returns the scores of each window run by itself: those of crops.

    Args:
        run: gives the scores `(N, d1, ..., Gy, Gx)` of each output on images of any size.
        images: `(N, C, H, W)`.
        grid: the network's grid.
    """
    shape = grid.shape((int(images.shape[2]), int(images.shape[3])))
    by_row = [_run_each(run, windows, images) for windows in _cut_rows(images, grid, shape[0], shape[1])]
    rows = [[torch.cat(list(values), -1) for values in outputs] for outputs in by_row]
    return [torch.cat(output, -2) for output in zip(*rows, strict=True)]


def _cut_rows(images: torch.Tensor, grid: Grid, rows: int, columns: int) -> Iterator[torch.Tensor]:
    """Yields the windows of each row of the grid, `(Gx, N, C, h, w)`."""
    (height, width), (sy, sx) = grid.window_px, grid.stride_px
    for row in range(rows):
        band = images[:, :, row * sy : row * sy + height]
        yield band.unfold(3, width, sx)[:, :, :, :columns].permute(3, 0, 1, 2, 4)


def _run_each(run: Run, parts: torch.Tensor, images: torch.Tensor) -> list[torch.Tensor]:
    """Returns for each output the values of `(B, N, C, h, w)` parts as `(B, N, ...)`, computed in batches."""
    batch = max(1, images.numel() // parts[0].numel())
    runs = [run(parts[start : start + batch].flatten(0, 1)) for start in range(0, len(parts), batch)]
    return [torch.cat(part).unflatten(0, parts.shape[:2]) for part in zip(*runs, strict=True)]  # type: ignore[no-untyped-call]
