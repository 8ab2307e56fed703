"""The images that a conversion is checked on: the user's, or random ones."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fullyconv.card import ModelCard
from fullyconv.errors import ImageError, OptionError
from fullyconv.grid import Grid, Pair
from fullyconv.images import prepare, read_image
from fullyconv.verify.outputs import Cell

# Contrasts of windows that are compared on their own: each wakes units that others leave silent.
_GAINS = (0.3, 1.0, 3.0, 10.0)

CONTRASTS = 2 * len(_GAINS)
"""So many windows of `make_window_sample` have each contrast once, and its negative."""

# Patches of an image, down and across, and how much stronger than the noise their colours are.
_PATCHES = (3, 3)
_PATCH_STRENGTH = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Images to check on, as the network takes them.

    Attributes:
        name: for the report.
        images: `(N, C, H, W)` floats.
    """

    name: str
    images: Tensor

    def size_px(self) -> Pair:
        """Returns `(height, width)` in pixels."""
        return int(self.images.shape[-2]), int(self.images.shape[-1])


def make_window_sample(grid: Grid, channels: int, seed: int, count: int) -> Sample:
    """Returns `count` random images of exactly the window's size, faint to strong, half of them negatives."""
    sample = _make_random("random, one window", (count, channels, *grid.window_px), seed)
    gains = torch.tensor([sign * gain for gain in _GAINS for sign in (1, -1)], dtype=torch.float64)
    return Sample(sample.name, sample.images * gains[torch.arange(count) % len(gains), None, None, None])


def make_random_samples(
    grid: Grid, channels: int, seed: int, *, around_px: tuple[Pair, Pair] = ((0, 0), (0, 0))
) -> list[Sample]:
    """Returns random images of two sizes, so small that every window is compared.

    One is the window and a whole number of strides. The other, a batch of two, has rest pixels that differ
    in y and x (where the stride has room for that): branches that round, and padding, show there. Both are larger
    by so many pixels `((top, bottom), (left, right))`.
    """
    sy, sx = grid.stride_px
    height, width = (size + sum(around) for size, around in zip(grid.window_px, around_px, strict=True))
    whole = (height + 2 * sy, width + 3 * sx)
    rests = (height + 3 * sy + sy // 2, width + 2 * sx + sx - 1)
    return [
        _make_random("random, whole strides", (1, channels, *whole), seed + 1),
        _make_random("random, rest pixels", (2, channels, *rests), seed + 2),
    ]


def _make_random(name: str, shape: tuple[int, ...], seed: int) -> Sample:
    """Returns noise on top of broad patches of other colours.

    Noise alone looks the same to every window, and a unit behind a rectifier that is silent for one is then
    silent for all: whatever is wrong with its weights would not show.
    """
    # Drawn in float64, so that both number types see the same image up to rounding.
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    patches = torch.randn(*shape[:2], *_PATCHES, generator=generator, dtype=torch.float64)
    broad = F.interpolate(patches, shape[2:], mode="bilinear", align_corners=False)
    return Sample(name, noise + _PATCH_STRENGTH * broad)


def read_samples(images: Any, card: ModelCard) -> list[Sample]:
    """Returns the user's images as the network takes them.

    Args:
        images: one or several of: a path; a `(H, W)` or `(H, W, C)` uint8 array, prepared as the card says; a
            float array or tensor `(C, H, W)` or `(N, C, H, W)`, which is the network's input already.
        card: the network's.

    Raises:
        ImageError: one cannot be read, has other channels than the network or is smaller than the window.
        OptionError: it is none of these.
    """
    several = [images] if isinstance(images, (str, PathLike, np.ndarray, Tensor)) else images
    if not isinstance(several, Iterable):
        raise OptionError(f"verify: expected images as paths, arrays or tensors, got {type(images).__name__}")
    samples = [_read_sample(image, number, card) for number, image in enumerate(several, 1)]
    if not samples:
        raise OptionError("verify: expected at least one image, got none; leave images out for random ones")
    for sample in samples:
        _check_sample(sample, card)
    return samples


def _read_sample(image: Any, number: int, card: ModelCard) -> Sample:
    if isinstance(image, (str, PathLike)):
        return Sample(str(image), torch.as_tensor(prepare(read_image(Path(image)), card))[None])
    if isinstance(image, np.ndarray) and image.dtype == np.uint8:
        pixels = image[..., None] if image.ndim == 2 else image
        return Sample(f"array {number}", torch.as_tensor(prepare(pixels, card))[None])
    if isinstance(image, (np.ndarray, Tensor)):
        tensor = torch.as_tensor(image)
        if tensor.is_floating_point() and tensor.dim() in (3, 4):
            return Sample(f"tensor {number}", tensor.reshape(-1, *tensor.shape[-3:]).detach().cpu())
        raise ImageError(
            f"image {number}: expected uint8 (H, W, C) or floats (C, H, W) or (N, C, H, W), "
            f"got {tensor.dtype} {tuple(tensor.shape)}"
        )
    raise OptionError(f"image {number}: expected a path, an array or a tensor, got {type(image).__name__}")


def _check_sample(sample: Sample, card: ModelCard) -> None:
    if sample.images.shape[1] != card.channels or not len(sample.images):
        raise ImageError(
            f"{sample.name}: expected images of {card.channels} channels for this network, "
            f"got {tuple(sample.images.shape)}"
        )
    Grid(card.window, (1, 1), (1, 1)).shape(sample.size_px())


def choose_cells(images: int, grid_shape: Pair, limit: int, seed: int) -> tuple[Cell, ...]:
    """Returns windows of `images` images to compare: all, or at most about `limit`, corners first.

    >>> choose_cells(1, (1, 2), 64, seed=0)
    ((0, 0, 0), (0, 0, 1))
    """
    rows, columns = grid_shape
    total = images * rows * columns
    if total <= limit:
        chosen: Iterable[int] = range(total)
    else:
        first = [row * columns + column for row in (0, rows - 1) for column in (0, columns - 1)]
        corners = {image * rows * columns + corner for image in range(images) for corner in first}
        others = random.Random(seed).sample(range(total), limit)
        chosen = sorted([*corners, *[cell for cell in others if cell not in corners]][: max(limit, len(corners))])
    return tuple((cell // (rows * columns), cell // columns % rows, cell % columns) for cell in chosen)
