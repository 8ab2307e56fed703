"""Classifiers whose heads compare with prototypes, or multiply two vectors."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from zoo_parts import Functional, conv


def prototypes() -> nn.Module:
    """Cosines of pooled vectors, distances of cells from prototypes, the nearest of which counts."""

    def head(m: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        cells = x.flatten(2).transpose(1, 2)
        return {
            "cosine": 8 * F.cosine_similarity(x.mean((2, 3))[:, None], m.classes.weight, dim=-1),
            "distance": m.fc(-torch.cdist(cells, m.patches.weight).amin(1)),
            "norm": torch.cdist(x.amax((2, 3)), m.classes.weight, p=1.0),
        }

    trunk = nn.Sequential(conv(3, 6, 2), nn.Conv2d(6, 8, 3, 2))
    return Functional(trunk, head, classes=nn.Embedding(5, 8), patches=nn.Embedding(30, 8), fc=nn.Linear(30, 4))


def bilinear() -> nn.Module:
    """A bilinear layer of two branches of different strides."""

    def head(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m.both(x.mean((2, 3)), m.more(x).amax((2, 3)))

    return Functional(conv(3, 6, 2), head, more=conv(6, 7, 2), both=nn.Bilinear(6, 7, 4))
