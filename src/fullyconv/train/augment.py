"""Random changes of training crops that leave their class alone."""

from __future__ import annotations

import torch
from torch import nn

from fullyconv.train.libraries import import_kornia


def build_augmentation(*, flip: bool) -> nn.Module:
    """Returns a module that changes each crop of a batch `(N, C, H, W)`, float in 0 to 1, by chance.

    A small rotation, shift and change of size, since windows rarely sit exactly on an object; brightness,
    contrast, a little blur and noise. The result stays in 0 to 1; draws come from torch's global generator.

    Args:
        flip: mirror half of the crops, left to right.

    Raises:
        MissingExtraError: kornia is not installed.
    """
    kornia = import_kornia("augmentation")
    steps = [
        kornia.RandomAffine(degrees=12.0, translate=(0.06, 0.06), scale=(0.88, 1.12), padding_mode="reflection", p=0.8),
        kornia.RandomBrightness((0.8, 1.2), p=0.5),
        kornia.RandomContrast((0.7, 1.3), p=0.5),
        kornia.RandomGaussianBlur((3, 3), (0.2, 1.0), p=0.2),
        kornia.RandomGaussianNoise(std=0.02, p=0.3),
    ]
    if flip:
        steps.insert(0, kornia.RandomHorizontalFlip(p=0.5))
    return _Clamped(kornia.ImageSequential(*steps))


class _Clamped(nn.Module):
    def __init__(self, steps: nn.Module) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.steps(crops)
        return changed.clamp(0, 1)
