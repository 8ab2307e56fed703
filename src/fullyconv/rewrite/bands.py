"""Padding at the window's border to first order, from dense runs on bands (DESIGN, section 2).

A full-height band one window wide has the crop's own padding at its left and right; a full-width band one window
high has it at top and bottom. The sum of both, less the plain dense run, leaves out only what the two axes do
together. It costs `1 + w/sx + h/sy` dense runs; crops cost `(w/sx) * (h/sy)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from fullyconv.grid import Grid

# What the pixels of one batch of bands may take; a network's wide layers take a multiple of it.
BATCH_BYTES = 16 << 20

Run = Callable[[torch.Tensor], Sequence[torch.Tensor]]


def run_bands(run: Run, images: torch.Tensor, grid: Grid) -> list[torch.Tensor]:
    """Returns the logits with padding at the window's border to first order.

    Args:
        run: gives the logits `(N, d1, ..., Gy, Gx)` of each output on images of any size.
        images: `(N, C, H, W)`.
        grid: the network's grid.
    """
    size = (int(images.shape[2]), int(images.shape[3]))
    rows, columns = grid.shape(size)
    upright = images.unfold(3, grid.window_px[1], grid.stride_px[1])[:, :, :, :columns].permute(3, 0, 1, 2, 4)
    lying = images.unfold(2, grid.window_px[0], grid.stride_px[0])[:, :, :rows].permute(2, 0, 1, 4, 3)
    dense, by_column, by_row = run(images), _run_each(run, upright), _run_each(run, lying)
    return [
        (torch.cat(list(column), -1) + torch.cat(list(row), -2)) - plain
        for plain, column, row in zip(dense, by_column, by_row, strict=True)
    ]


def _run_each(run: Run, bands: torch.Tensor) -> list[torch.Tensor]:
    """Returns for each output the logits of `(B, N, C, h, w)` bands as `(B, N, ...)`, computed in batches."""
    count, images = bands.shape[:2]
    batch = max(1, BATCH_BYTES // (bands[0].numel() * bands.element_size()))
    parts = [run(bands[start : start + batch].flatten(0, 1)) for start in range(0, count, batch)]
    return [torch.cat(part).unflatten(0, (count, images)) for part in zip(*parts, strict=True)]  # type: ignore[no-untyped-call]
