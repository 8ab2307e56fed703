"""What an original says of windows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One output of the original for B windows.

    Attributes:
        scores: `(B, ...)`.
        logits: the input of the last softmax or sigmoid, `(B, ...)`; None if the output is not made by one.
    """

    scores: Tensor
    logits: Tensor | None
