"""How far the original's own scores move when its pixels move by as little as rounding does.

One run in float32 shows its rounding once, and by luck little. A deep network whose windows are ten times as strong as
those that it was made for may enlarge rounding a million times, by another factor in each run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from fullyconv.verify.answer import Answer
from fullyconv.verify.comparison import Pairing, measure_noise
from fullyconv.verify.outputs import drop_ones

_RUNS = 5


def measure_conditioning(
    answer: Callable[[Tensor], Mapping[str, Answer]], images: Tensor, pairings: Sequence[Pairing]
) -> dict[tuple[str, ...], float]:
    """Returns for each pairing, by its key, how far its reference moves at most, relative to its largest value.

    Args:
        answer: gives the references for images, in float32.
        images: `(N, C, H, W)`.
        pairings: what the references are compared in.
    """
    generator = torch.Generator().manual_seed(0)
    first, *moved = (answer(_move(images, generator) if run else images) for run in range(_RUNS + 1))
    return {
        pairing.key(): max(_measure(one.get(pairing.output), first.get(pairing.output), pairing) for one in moved)
        for pairing in pairings
    }


def _move(images: Tensor, generator: torch.Generator) -> Tensor:
    """Returns images of which each value is as it is, or one unit of float32 more or less."""
    steps = torch.randint(-1, 2, images.shape, generator=generator)
    return images * (1 + steps * torch.finfo(torch.float32).eps)


def _measure(moved: Answer | None, answer: Answer | None, pairing: Pairing) -> float:
    found, expected = (_read(one, pairing) for one in (moved, answer))
    return measure_noise(found, expected)


def _read(answer: Answer | None, pairing: Pairing) -> Tensor | None:
    if answer is None:
        return None
    values = answer.logits if pairing.quantity == "logits" else answer.scores
    return None if values is None else drop_ones(values)
