"""How far a score map is from pixel crops where it does not equal them: measured, never a verdict."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fullyconv.grid import Pair
from fullyconv.verify.outputs import drop_ones


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The distance of one output from a reference, on one image.

    Attributes:
        output: the name of the output.
        image: which image.
        image_px: its `(height, width)`.
        cells: how many windows were compared.
        max_difference: the largest difference of scores.
        mean_difference: the mean of the absolute differences of scores.
        correlation: Pearson's, of the logits (of the scores, if there is no last activation); None if they
            are constant.
        top1_agreement: share of windows for which both name the same class. With a single logit: for which
            both are on the same side of 0. None for a single score without activation: it names no class.
        reference: what it is the distance from: the original on pixel crops, or the exact network.
    """

    output: str
    image: str
    image_px: Pair
    cells: int
    max_difference: float
    mean_difference: float
    correlation: float | None
    top1_agreement: float | None
    reference: str = "crops"


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One network's values for B windows.

    Attributes:
        scores: `(B, ...)`.
        logits: `(B, ...)`, None if the network ends in no activation.
    """

    scores: Tensor
    logits: Tensor | None


def measure_fidelity(
    output: str, image: tuple[str, Pair], dense: Measured, crops: Measured, reference: str = "crops"
) -> Fidelity:
    """Returns how far `dense` is from `crops`, for the same windows; shapes equal but for axes of size 1."""
    difference = (drop_ones(dense.scores) - drop_ones(crops.scores)).abs()
    has_logits = dense.logits is not None and crops.logits is not None
    pair = (dense.logits, crops.logits) if has_logits else (dense.scores, crops.scores)
    found, expected = (values.reshape(len(values), -1).double() for values in pair if values is not None)
    return Fidelity(
        output=output,
        image=image[0],
        image_px=image[1],
        cells=len(found),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        correlation=_correlate(found.reshape(-1), expected.reshape(-1)),
        top1_agreement=_agree(found, expected, has_logits),
        reference=reference,
    )


def _correlate(found: Tensor, expected: Tensor) -> float | None:
    if len(found) < 2 or not found.std() > 0 or not expected.std() > 0:
        return None
    return float(torch.corrcoef(torch.stack([found, expected]))[0, 1])


def _agree(found: Tensor, expected: Tensor, has_logits: bool) -> float | None:
    if found.shape[1] > 1:
        return float((found.argmax(1) == expected.argmax(1)).double().mean())
    return float(((found > 0) == (expected > 0)).double().mean()) if has_logits else None
