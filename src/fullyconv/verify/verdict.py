"""What difference is still rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import torch

from fullyconv.verify.comparison import Comparison, Pairing, judge, measure_noise
from fullyconv.verify.rounding import Rounding

FLOAT32_TOLERANCE = 2e-5
"""Relative to the largest reference score. A convolution and a linear layer sum the same K products in
another order; at K of a few hundred that alone was seen to reach 1.2e-5 in float32, whose unit is 6e-8."""

FLOAT64_TOLERANCE = 1e-10
"""The unit of float64 is 1.1e-16, 5e8 times smaller than that of float32: 2e-5 would become 4e-14. Deep
networks amplify it; 1e-10 leaves a factor of 2500 for that and is far below what a wrong weight does."""

NOISE_FACTOR = 4.0
"""Where rounding is measured, this many times as much is allowed. In float32 the original itself may be further
than FLOAT32_TOLERANCE from what it gives in float64, and two networks that both round differ by about twice as
much; computed weights that were rounded to be stored move the scores as far as `rounding` measures. In float64
it is measured by the float32 run too: a network that makes 1e-1 of a unit of 1e-7 makes 1e-10 of one of 1e-16."""


_FINER = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
"""A network that makes so much of the rounding of float32 makes this much less of that of float64."""


def is_near(pairing: Pairing) -> bool:
    """Returns whether float32 scores are so near that nothing needs to be known about their rounding."""
    return judge(pairing, torch.float32, FLOAT32_TOLERANCE).passed


def measure_own_noise(pairings: Mapping[torch.dtype, Sequence[Pairing]]) -> dict[tuple[str, ...], float]:
    """Returns for each pairing, by its key, how far the original's float32 values are from its float64 values."""
    exact = {pairing.key(): pairing.expected for pairing in pairings.get(torch.float64, ())}
    single = pairings.get(torch.float32, ())
    return {pairing.key(): measure_noise(pairing.expected, exact.get(pairing.key())) for pairing in single}


def judge_all(
    pairings: Mapping[torch.dtype, Sequence[Pairing]],
    rounding: Rounding,
    coarse: Set[torch.dtype] = frozenset(),
    allowed: Mapping[torch.dtype, float] | None = None,
    unrest: Mapping[tuple[str, ...], float] | None = None,
) -> tuple[Comparison, ...]:
    """Returns the comparisons of all pairings, by number type, each with the tolerance that is right for it.

    Args:
        pairings: by number type.
        rounding: of computed weights, by output and quantity.
        coarse: number types of which the original itself makes coarser numbers within its forward.
        allowed: the least tolerance in a number type in which the network was asked to compute more coarsely.
        unrest: how far references move when their pixels are rounded, by the keys of pairings.
    """
    own_noise = measure_own_noise(pairings)
    comparisons = []
    for dtype, found in pairings.items():
        finer = _FINER if dtype == torch.float64 else 1.0
        for pairing in found:
            noise = rounding.get((pairing.output, pairing.quantity), 0.0)
            own = max(own_noise.get(pairing.key(), 0.0), (unrest or {}).get(pairing.key(), 0.0))
            noise = max(noise, finer * own)
            is_fine = dtype == torch.float64 and dtype not in coarse
            least = max(FLOAT64_TOLERANCE if is_fine else FLOAT32_TOLERANCE, (allowed or {}).get(dtype, 0.0))
            comparisons.append(judge(pairing, dtype, max(least, NOISE_FACTOR * noise)))
    return tuple(comparisons)
