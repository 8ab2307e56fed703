"""Crops as batches of tensors: drawn by chance for training, in order for validation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from fullyconv.train.crops import CropSet
from fullyconv.train.labels import Labelling
from fullyconv.train.split import weigh_crops

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class WeighedCrops:
    """Crops as tensors, each with its target and its weight.

    Attributes:
        images: uint8 `(N, C, H, W)`.
        targets: int64 `(N,)`.
        weights: float64 `(N,)`, summing to 1: how often a crop is drawn, or how much it counts.
    """

    images: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor

    def draw_batches(self, count: int, batch_size: int, generator: torch.Generator) -> Iterator[Batch]:
        """Yields `count` batches of crops drawn by their weights, each crop of the same weight then."""
        ones = torch.ones(batch_size)
        for _ in range(count):
            drawn = torch.multinomial(self.weights, batch_size, replacement=True, generator=generator)
            yield self.images[drawn], self.targets[drawn], ones

    def list_batches(self, batch_size: int) -> Iterator[Batch]:
        """Yields every crop once, in order, with its weight times N, so that the mean of the weights is 1."""
        for start in range(0, len(self.images), batch_size):
            part = slice(start, start + batch_size)
            yield self.images[part], self.targets[part], self.weights[part] * len(self.images)


def weigh_for_training(crops: CropSet, labelling: Labelling, background_share: float | None) -> WeighedCrops:
    """Returns the crops as tensors, with targets as the labelling says and weights by class."""
    background = None if labelling.background is None else labelling.classes.index(labelling.background)
    weights = weigh_crops(crops.labels, background, background_share)
    return WeighedCrops(
        torch.from_numpy(crops.images),
        torch.from_numpy(labelling.encode(crops.labels)),
        torch.from_numpy(weights),
    )


def count_batches(crops: CropSet, batch_size: int, fewest: int) -> int:
    """Returns the batches of an epoch: as many crops as there are, but at least `fewest` batches."""
    return max(math.ceil(len(crops.labels) / batch_size), fewest)
