"""One step of training on a batch, and the judgement of a batch of validation crops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from fullyconv.card import Preprocessing
from fullyconv.errors import OptionError
from fullyconv.train.augment import build_augmentation
from fullyconv.train.batches import Batch
from fullyconv.train.mixing import Mixing, mix_background
from fullyconv.train.settings import FitSettings

OptimizerAndSchedule = tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]


def make_step(
    network: nn.Module,
    preprocessing: Preprocessing,
    *,
    settings: FitSettings,
    descent: OptimizerAndSchedule,
    mixing: Mixing | None = None,
) -> Callable[[Any, Batch], float]:
    """Returns ignite's process function for training: it moves the weights by one batch and returns the loss.

    The function raises OptionError when the loss is not a finite number any more.
    """
    augment = build_augmentation(flip=settings.flip) if settings.augment else nn.Identity()
    optimizer, schedule = descent

    def step(engine: Any, batch: Batch) -> float:
        network.train()
        crops = augment(batch[0].float() / 255)
        if mixing is not None:
            crops = mix_background(crops, batch[1], mixing)
        logits = network(normalise(crops, preprocessing))
        loss = compute_losses(logits, batch[1], settings.label_smoothing).mean()
        _check_finite(loss.item(), settings.learning_rate)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        return loss.item()

    return step


def make_judgement(network: nn.Module, preprocessing: Preprocessing) -> Callable[[Any, Batch], torch.Tensor]:
    """Returns ignite's process function for validation: weighed losses and hits, float64 `(N, 2)`."""

    @torch.no_grad()
    def judge(engine: Any, batch: Batch) -> torch.Tensor:
        network.eval()
        logits = network(normalise(batch[0].float() / 255, preprocessing))
        judged = torch.stack([compute_losses(logits, batch[1]), find_hits(logits, batch[1]).to(logits.dtype)], 1)
        return judged.double() * batch[2][:, None]

    return judge


def normalise(images: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    """Returns the network's input for images `(N, C, H, W)`, float in 0 to 1: `(value - mean) / std`."""
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return (images - mean) / std


def compute_losses(logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Returns the cross-entropy of each crop, `(N,)`.

    Args:
        logits: float `(N, K)`; one output is a sigmoid unit, several are a softmax.
        targets: int64 `(N,)`; 0 or 1 for a sigmoid unit, else the class.
        smoothing: how much of a target is spread over all classes, two for a sigmoid unit.
    """
    if logits.shape[1] > 1:
        return F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    smooth = targets.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    return F.binary_cross_entropy_with_logits(logits[:, 0], smooth, reduction="none")


def find_hits(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Returns for each crop whether its class has the highest score, bool `(N,)`."""
    guesses = logits.argmax(dim=1) if logits.shape[1] > 1 else (logits[:, 0] > 0).long()
    return guesses == targets


def _check_finite(loss: float, learning_rate: float) -> None:
    if not math.isfinite(loss):
        raise OptionError(f"training: expected a finite loss, got {loss}; lower the learning rate ({learning_rate:g})")
