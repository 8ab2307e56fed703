"""How much the scores move because computed weights are kept in the network's own number type.

A weight that is only re-ordered is exact. One that is computed, such as a kernel with an adaptive pooling or a
normalisation folded in, is rounded once when it is stored, and stays so rounded when the converted network is run
in float64. That is no error of the conversion, and it is measured here rather than guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial

import torch
from torch import Tensor, nn

from fullyconv.capture.module import read_dtype
from fullyconv.verify.comparison import measure_relative
from fullyconv.verify.duplicate import copy_network
from fullyconv.verify.fidelity import Measured
from fullyconv.verify.subject import run_dense

Rounding = dict[tuple[str, str], float]
"""Relative change by output and quantity."""

Sums = tuple[torch.dtype, int, int, int]
"""What tells the values of a tensor, in any order."""

# Up to here the values of two tensors are compared as sets as well, which takes sorting them; larger ones are summed
# so many at a time.
_SMALL = 1 << 20

# Rounding goes one way or the other for each value; the largest change in a few random ways is what to expect of the
# one way that it went.
DIRECTIONS = 8

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def find_computed(dense: nn.Module, original: nn.Module) -> tuple[str, ...]:
    """Returns the names of floating weights of `dense` whose values are not those of a weight of `original`."""
    return find_other_values(dense.state_dict().items(), original.state_dict().values())


def find_other_values(kept: Iterable[tuple[str, Tensor]], sources: Iterable[Tensor]) -> tuple[str, ...]:
    """Returns the names of floating tensors whose values are not those of a source, in any order."""
    known, repeated = set(), set()
    for tensor in sources:
        if tensor.is_floating_point():
            known.add(_sum_bits(tensor))
            repeated.update([_sum_bits(torch.unique(tensor))] if tensor.numel() <= _SMALL else [])
    return tuple(
        name
        for name, tensor in kept
        if tensor.is_floating_point()
        and _sum_bits(tensor) not in known
        and not _repeats(tensor, repeated)
        and not _only_picks(tensor)
    )


def _only_picks(tensor: Tensor) -> bool:
    """Returns whether a tensor holds zeros and ones only, which nothing has rounded."""
    return bool(((tensor == 0) | (tensor == 1)).all())


def measure_rounding(dense: nn.Module, computed: Sequence[str], images: Tensor, seed: int) -> Rounding:
    """Returns the relative change of scores and logits when each computed weight moves by half a unit.

    Args:
        dense: the converted network, in the number type that its weights are kept in.
        computed: names of its computed weights.
        images: `(N, C, H, W)`.
        seed: of the directions in which they move.
    """
    if not computed or read_dtype(dense) == torch.float64:  # whose rounding is far below any tolerance
        return {}
    exact, generator = copy_network(dense, torch.float64), torch.Generator().manual_seed(seed)
    return measure_changes(exact, partial(_move, dense, computed, generator), images)


def measure_changes(exact: nn.Module, move: Callable[[], nn.Module], images: Tensor) -> Rounding:
    """Returns the largest relative change of scores and logits under a few random moves of weights.

    Args:
        exact: the network in float64.
        move: returns it with its weights moved, in another way each time.
        images: `(N, C, H, W)`, faint to strong: the fainter half is looked at by itself too, as its scores may be small
            beside the others.
    """
    changes: Rounding = {}
    images = images.double()
    try:
        before = run_dense(exact, images)
        for _ in range(DIRECTIONS):
            for key, change in _compare(before, run_dense(move(), images)):
                changes[key] = max(changes.get(key, 0.0), change)
    except Exception:
        return {}  # a network that fails is reported by the comparisons
    return changes


def _move(dense: nn.Module, computed: Sequence[str], generator: torch.Generator) -> nn.Module:
    """Returns a copy in float64 with each value of the computed weights half a unit up or down."""
    moved = copy_network(dense, torch.float64)
    kept, weights = dense.state_dict(), moved.state_dict()
    with torch.no_grad():
        for name in computed:
            signs = torch.randint(0, 2, kept[name].shape, generator=generator) * 2 - 1
            weights[name].mul_(1 + signs * torch.finfo(kept[name].dtype).eps / 2)
    return moved


def _compare(before: Mapping[str, Measured], after: Mapping[str, Measured]) -> Iterator[tuple[tuple[str, str], float]]:
    for name, values in before.items():
        pairs = [("scores", values.scores, after[name].scores), ("logits", values.logits, after[name].logits)]
        for quantity, old, new in pairs:
            if old is not None and new is not None:
                half = -(-len(old) // 2)
                changes = measure_relative(new, old), measure_relative(new[:half], old[:half])
                yield from [((name, quantity), change) for change in changes if math.isfinite(change)]


def _sum_bits(tensor: Tensor) -> Sums:
    """Returns what does not depend on the order of the values: whole numbers wrap around, but never round."""
    bits = tensor.detach().cpu().contiguous().view(_BITS[tensor.element_size()]).flatten()
    total = squares = torch.zeros((), dtype=torch.int64)
    for part in torch.split(bits, _SMALL):  # eight bytes for each value of a large tensor would be much
        wide = part.to(torch.int64)
        total, squares = total + wide.sum(), squares + (wide * wide).sum()
    return tensor.dtype, tensor.numel(), int(total), int(squares)


def _repeats(tensor: Tensor, repeated: Set[Sums]) -> bool:
    """Returns whether a small tensor has the values of a source, each perhaps more than once: it was broadcast."""
    return tensor.numel() <= _SMALL and _sum_bits(torch.unique(tensor)) in repeated
