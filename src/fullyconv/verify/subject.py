"""What is checked: a converted network and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fullyconv.grid import Grid
from fullyconv.verify.fidelity import Measured
from fullyconv.verify.outputs import name_outputs
from fullyconv.verify.splits import Probe


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A converted network, as far as checking it needs to know it.

    Attributes:
        module: runs on `(N, C, H, W)` and gives `(N, ..., Gy, Gx)` for each output of the original, in its
            structure; `module.logits` gives the same before a last softmax or sigmoid.
        grid: where its scores lie.
        guarantee: what it promises.
        align: whether it pads images with zeros right and bottom to the window and whole strides.
        probe: what the split tensors are for a random window, by which they are recognised in the original.
    """

    module: nn.Module
    grid: Grid
    guarantee: Literal["image crops", "feature windows"]
    align: bool
    probe: Probe


def run_dense(module: Any, images: Tensor) -> dict[str, Measured]:
    """Returns the outputs `(N, ..., Gy, Gx)` of a converted network by name.

    The logits are None where they are the scores, because there is no last activation.
    """
    with torch.no_grad():
        scores = name_outputs(module(images))
        logits = name_outputs(module.logits(images))
    return {
        name: Measured(values, None if _is_equal(logits[name], values) else logits[name])
        for name, values in scores.items()
    }


def _is_equal(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.equal(first.nan_to_num(), second.nan_to_num())
