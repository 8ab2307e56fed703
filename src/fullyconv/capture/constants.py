"""What a program has and computes without the image: weights, and constants made of them when they are read.

Standardised weights, position tables and the like are arithmetic on weights. Kept with all that lies between, they
took several times the memory of the network; so they are computed anew whenever they are needed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fullyconv.allocator import FreedBlocks
from fullyconv.capture.calls import Call, find_operation, run_call
from fullyconv.capture.liveness import find_families, find_last_uses, find_needed

# What is freed between constants may stay with the process up to here.
_HELD_BYTES = 2**23


@dataclass(frozen=True, slots=True)
class Constants(Mapping[str, Tensor]):
    """Tensors by name, each of them stored or computed when it is read.

    Attributes:
        stored: parameters, buffers and constants of the program; the module's own memory.
        calls: that make more of them, by their nodes' names, in running order.
        types: of what the calls make, in the module's own arithmetic.
        batch: that the calls were captured with.
        widen: whether to compute in float64; a module in float64 says itself where less is exact.
    """

    stored: Mapping[str, Tensor]
    calls: Mapping[str, Call]
    types: Mapping[str, torch.dtype]
    batch: int
    widen: bool

    def __getitem__(self, name: str) -> Tensor:
        """Returns a tensor; one that is computed is nobody else's.

        Raises:
            KeyError: it is not there, or depends on the image.
        """
        return self.stored[name] if name not in self.types else self.compute({name})[name]

    def __contains__(self, name: object) -> bool:
        """Returns whether there is such a tensor, which is not computed for that."""
        return name in self.stored or name in self.types

    def __iter__(self) -> Iterator[str]:
        """Yields all names."""
        yield from (*self.stored, *self.types)

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self.stored) + len(self.types)

    def compute(self, wanted: Collection[str]) -> dict[str, Tensor]:
        """Returns those of the wanted tensors that are computed, by name; what they have in common is computed once.

        They are computed in float64 from first to last and rounded once, so that they are as good as weights. A
        difference of nearly equal numbers, rounded at each step, would be further from its true value than
        verification allows a weight to be. What lies between is dropped as soon as it has been read, and what takes
        most is computed first, while little is held of what the others give.
        """
        made: dict[str, Tensor] = {}
        freed = FreedBlocks(_HELD_BYTES)
        for family in sorted(find_families(find_needed(tuple(self.calls.values()), wanted)), key=self._measure)[::-1]:
            made.update(self._compute_family(family, wanted, freed))
        return made

    def _compute_family(
        self, calls: Sequence[Call], wanted: Collection[str], freed: FreedBlocks
    ) -> Iterator[tuple[str, Tensor]]:
        exact: dict[str, Tensor] = {}
        for call, last in zip(calls, find_last_uses(calls, ()), strict=True):
            exact.update(self.run(call, exact))
            yield from [(name, self.round(name, exact)) for name in call.outputs if name in wanted]
            for name in last:
                freed.count(exact.pop(name).nbytes if name in exact else 0)

    def _measure(self, calls: Sequence[Call]) -> int:
        """Returns how many bytes the calls read of what is stored."""
        read = {name for call in calls for name in call.references()}
        return sum(self.stored[name].nbytes for name in read if name in self.stored)

    def run(self, call: Call, exact: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns what a call makes, by name, before it is rounded.

        Args:
            call: one of `calls`.
            exact: what earlier calls made.
        """
        known = {name: exact[name] if name in exact else self.stored[name] for name in call.references()}
        with torch.no_grad():
            try:
                inputs = {name: _widen(tensor) if self.widen else tensor for name, tensor in known.items()}
                results = run_call(call, inputs, self.batch)
            except RuntimeError:  # an operation for one number type
                inputs = {name: tensor.to(self.types.get(name, tensor.dtype)) for name, tensor in known.items()}
                results = run_call(call, inputs, self.batch)
        shares = any(value.alias_info is not None for value in find_operation(call.target)._schema.returns)
        made = results if shares else tuple(_separate(result, inputs) for result in results)
        return dict(zip(call.outputs, made, strict=True))

    def round(self, name: str, exact: Mapping[str, Tensor]) -> Tensor:
        """Returns a tensor as the module has it, in memory of its own where it was computed."""
        return exact[name].to(self.types[name], copy=True) if name in exact else self.stored[name]


def select_constant(calls: Mapping[str, Call], stored: Collection[str]) -> dict[str, Call]:
    """Returns the calls that read nothing but stored tensors and each other's results."""
    known, constant = set(stored), {}
    for name, call in calls.items():
        if known.issuperset(call.references()):
            constant[name] = call
            known.update(call.outputs)
    return constant


def _widen(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _separate(result: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Returns a result in memory of its own, as the operation promises; a later one may write into it.

    In float64 `type_as`, say, hands on what it copies in float32.
    """
    memory = {tensor.untyped_storage().data_ptr() for tensor in inputs.values()}
    return result.clone() if result.untyped_storage().data_ptr() in memory else result
