"""Small networks to scan with: without padding, with padding, residual, and with a head that runs on windows."""

from __future__ import annotations

import torch
from torch import nn


class Branches(nn.Module):
    """Gives what `trunk` gives, and that plus 1 and plus 2."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, images: torch.Tensor) -> dict[str, object]:
        scores = self.trunk(images)
        return {"main": scores, "others": (scores + 1, scores + 2)}


class Gated(nn.Module):
    """A squeeze-excitation: each channel times a weight that depends on the whole window."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 2, 1), nn.ReLU(), nn.Conv2d(2, channels, 1), nn.Sigmoid()
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * self.gate(images)


def build_plain() -> nn.Module:
    """Window 14x18 (height, width), stride (2, 4), two classes."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 5, 3, stride=(1, 2)), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(5 * 4 * 3, 2), nn.Softmax(dim=1)),
    )


def build_padded() -> nn.Module:
    """Window 16x16, stride 4, one class; two padded convolutions and a padded pool."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2, padding=1)),
        *(nn.ReLU(), nn.MaxPool2d(3, stride=1, padding=1), nn.Flatten(), nn.Linear(4 * 4 * 4, 1), nn.Sigmoid()),
    )


class Returning(nn.Module):
    """A branch that becomes coarser and finer again, added to what it came from."""

    def __init__(self, channels: int, kernel: int, padding: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, channels, kernel, stride=2, padding=padding)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images + nn.functional.interpolate(self.down(images), scale_factor=2)).relu()


def build_u_shaped(padding: int) -> nn.Module:
    """Window 16x16, stride 8; branches disagree in size on images that are not window + k*stride."""
    kernel = 3 if padding else 2
    return nn.Sequential(
        *(nn.Conv2d(3, 5, kernel, stride=2, padding=padding), Returning(5, kernel, padding)),
        *(nn.Conv2d(5, 6, kernel, stride=2, padding=padding), Returning(6, kernel, padding)),
        *(nn.Flatten(), nn.Linear(6 * 4 * 4, 2)),
    )


def build_gated() -> nn.Module:
    """Window 16x16, stride 2; padded before the gate, so that the shared trunk and the window both count."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), Gated(6), nn.Conv2d(6, 4, 3), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
    )
