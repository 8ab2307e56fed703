"""How much the scores move because computed weights are kept in the network's own number type.

A weight that is only re-ordered is exact. One that is computed, such as a kernel with an adaptive pooling or a
normalisation folded in, is rounded once when it is stored, and stays so rounded when the converted network is run
in float64. That is no error of the conversion, and it is measured here rather than guessed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fullyconv.verify.comparison import measure_relative
from fullyconv.verify.duplicate import copy_network
from fullyconv.verify.subject import run_dense

Rounding = dict[tuple[str, str], float]
"""Relative change by output and quantity."""

# Up to here the values of two tensors are compared as sets as well, which takes sorting them.
_SMALL = 1 << 20

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def find_computed(dense: nn.Module, original: nn.Module) -> tuple[str, ...]:
    """Returns the names of floating weights of `dense` whose values are not those of a weight of `original`."""
    sources = [tensor for tensor in original.state_dict().values() if tensor.is_floating_point()]
    sums = {_sum_bits(tensor) for tensor in sources}
    return tuple(
        name
        for name, tensor in dense.state_dict().items()
        if tensor.is_floating_point() and _sum_bits(tensor) not in sums and not _repeats(tensor, sources)
    )


def measure_rounding(dense: nn.Module, computed: Sequence[str], images: Tensor, seed: int) -> Rounding:
    """Returns the relative change of scores and logits when each computed weight moves by half a unit.

    Args:
        dense: the converted network, in the number type that its weights are kept in.
        computed: names of its computed weights.
        images: `(N, C, H, W)`.
        seed: of the directions in which they move.
    """
    if not computed:
        return {}
    exact, moved = copy_network(dense, torch.float64), copy_network(dense, torch.float64)
    kept, weights = dense.state_dict(), moved.state_dict()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in computed:
            signs = torch.randint(0, 2, kept[name].shape, generator=generator) * 2 - 1
            weights[name].mul_(1 + signs * torch.finfo(kept[name].dtype).eps / 2)
    try:
        before, after = run_dense(exact, images.double()), run_dense(moved, images.double())
    except Exception:
        return {}  # a network that fails is reported by the comparisons
    changes = {}
    for name, values in before.items():
        changes[name, "scores"] = measure_relative(after[name].scores, values.scores)
        logits = after[name].logits
        if values.logits is not None and logits is not None:
            changes[name, "logits"] = measure_relative(logits, values.logits)
    return {key: change for key, change in changes.items() if math.isfinite(change)}


def _sum_bits(tensor: Tensor) -> tuple[torch.dtype, int, int, int]:
    """Returns what does not depend on the order of the values: whole numbers wrap around, but never round."""
    bits = tensor.detach().cpu().contiguous().view(_BITS[tensor.element_size()]).to(torch.int64)
    return tensor.dtype, tensor.numel(), int(bits.sum()), int((bits * bits).sum())


def _repeats(tensor: Tensor, sources: Sequence[Tensor]) -> bool:
    """Returns whether every value of a small tensor is one of a single source, as when it was broadcast."""
    if tensor.numel() > _SMALL:
        return False
    values = tensor.detach().cpu()
    small = [source.cpu() for source in sources if source.numel() <= tensor.numel()]
    return any(bool(torch.isin(values, source).all()) for source in small if source.dtype == tensor.dtype)
