"""Images to measure a network on: broad patches of colours under noise, as pixels that its card prepares.

Never zeros: they are quicker to multiply on some machines, and every arithmetic gets them right.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fullyconv.capture.module import read_device, read_dtype
from fullyconv.graph import Pair
from fullyconv.grid import Grid
from fullyconv.images import prepare
from fullyconv.rewrite.dense_model import DenseModel

_PATCHES = 5
_NOISE = 40.0


def draw_image(dense: DenseModel, size: Pair) -> Tensor:
    """Returns one image, `(1, C, H, W)`, in the network's number type, where it is.

    Args:
        dense: its card prepares the image.
        size: `(height, width)` in pixels.
    """
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (_PATCHES, _PATCHES, dense.card.channels))
    y, x = (np.arange(pixels) * _PATCHES // pixels for pixels in size)
    noisy = patches[y][:, x] + rng.normal(0, _NOISE, (*size, dense.card.channels))
    image = torch.from_numpy(prepare(np.clip(noisy, 0, 255).astype(np.uint8), dense.card))[None]
    return image.to(read_device(dense.module), read_dtype(dense.module))


def choose_small_size(grid: Grid) -> Pair:
    """Returns the size of an image with rest pixels and a few scores.

    >>> choose_small_size(Grid((28, 28), (4, 4), (7, 7)))
    (37, 37)
    """
    height, width = (window + 2 * stride + stride // 2 - 1 * (stride > 2)
                     for window, stride in zip(grid.window_px, grid.stride_px, strict=True))  # fmt: skip
    return height, width
