"""More kinds of background than were photographed: two pieces without an object, together, hold none either."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Mixing:
    """Which crops of a batch are mixed.

    Attributes:
        target: the target of the background.
        share: of the background crops, how many are mixed, 0 to 1.
    """

    target: int
    share: float


def mix_background(crops: torch.Tensor, targets: torch.Tensor, mixing: Mixing) -> torch.Tensor:
    """Returns the crops, with a share of the background mixed from two crops of it; the others as they are.

    Half of these are double exposures, half have a rectangle of the other crop pasted in. A few large images
    hold few kinds of texture, and a network soon knows them all; mixed, they keep showing it new ones. The
    draws come from torch's global generator.

    Args:
        crops: float `(N, C, H, W)`.
        targets: int64 `(N,)`.
        mixing: which of them, and how many.
    """
    places = torch.nonzero(targets == mixing.target)[:, 0]
    own, other = crops[places], crops[places[torch.randperm(len(places))]]
    mixed = torch.where(_draw(len(places)) < 0.5, blend_crops(own, other), paste_crops(own, other))
    result = crops.clone()
    result[places] = torch.where(_draw(len(places)) < mixing.share, mixed, own)
    return result


def blend_crops(own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Returns double exposures of crops `(N, C, H, W)`: 30 to 70 % of each, by chance."""
    weight = 0.3 + 0.4 * _draw(len(own))
    return own * weight + other * (1 - weight)


def paste_crops(own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Returns crops `(N, C, H, W)` in which a rectangle, drawn by chance, is the other crop's."""
    count, _, height, width = own.shape
    top, bottom = torch.rand(2, count, 1, 1, 1).sort(dim=0).values * height
    left, right = torch.rand(2, count, 1, 1, 1).sort(dim=0).values * width
    y, x = torch.arange(height).view(-1, 1), torch.arange(width)
    return torch.where((y >= top) & (y < bottom) & (x >= left) & (x < right), other, own)


def _draw(count: int) -> torch.Tensor:
    return torch.rand(count, 1, 1, 1)
