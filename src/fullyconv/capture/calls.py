"""The torch side of a captured graph: each node as a call of an ATen operation, ready to be run or saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

# A model file must not be able to name these.
_TOUCHES_FILES = frozenset({"from_file"})

# Sets and tuples, not unions, which are made anew each time: a run has many arguments, and little time between calls.
_SEQUENCES = (list, tuple)
_LITERALS = frozenset({int, float, bool, str, type(None)})

Arg = Any  # a literal, Ref, PerBatch, or a list or tuple of such


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class PerBatch:
    """A whole number that was baked for one batch size: `offset + slope * batch`."""

    offset: int
    slope: int


@dataclass(frozen=True, slots=True)
class Call:
    """One ATen operation.

    Attributes:
        target: such as `aten.conv2d.default`.
        args: positional arguments.
        kwargs: keyword arguments.
        outputs: a name for each tensor that it returns.
    """

    target: str
    args: tuple[Arg, ...]
    kwargs: Mapping[str, Arg] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    def references(self) -> Iterator[str]:
        """Yields the names of the tensors that are read."""
        yield from find_references((self.args, tuple(self.kwargs.values())))


def find_references(arg: Arg) -> Iterator[str]:
    """Yields the names of all tensors in an argument."""
    if isinstance(arg, Ref):
        yield arg.name
    elif isinstance(arg, list | tuple):
        for inner in arg:
            yield from find_references(inner)


def find_batch_literals(arg: Arg) -> Iterator[PerBatch]:
    """Yields all literals in an argument that came from the batch size."""
    if isinstance(arg, PerBatch):
        yield arg
    elif isinstance(arg, list | tuple):
        for inner in arg:
            yield from find_batch_literals(inner)


def find_batched(calls: Iterable[Call]) -> frozenset[str]:
    """Returns which tensors are made with the batch size: in a literal of `calls`, or from another such tensor."""
    batched: set[str] = set()
    for call in calls:
        literals = find_batch_literals((call.args, tuple(call.kwargs.values())))
        if any(True for _ in literals) or not batched.isdisjoint(call.references()):
            batched.update(call.outputs)
    return frozenset(batched)


def map_arg(arg: Arg, leaf: Callable[[Arg], Arg]) -> Arg:
    """Returns the argument with `leaf` applied to everything that is not a list or a tuple."""
    if isinstance(arg, list | tuple):
        return type(arg)(map_arg(inner, leaf) for inner in arg)
    return leaf(arg)


def run_call(call: Call, tensors: Mapping[str, torch.Tensor], batch: int) -> tuple[Any, ...]:
    """Returns the outputs of `call` on `tensors`, with literals made for `batch`."""
    args, kwargs = fill_arguments(call, tensors, batch)
    result = find_operation(call.target)(*args, **kwargs)
    return tuple(result) if isinstance(result, _SEQUENCES) else (result,)


def fill_arguments(call: Call, tensors: Mapping[str, torch.Tensor], batch: Any) -> tuple[Any, dict[str, Any]]:
    """Returns the arguments of `call`, tensors for their names and numbers for literals that depend on the batch.

    Args:
        call: any.
        tensors: by name.
        batch: its size; a tensor of it while a run is traced.
    """
    args = tuple([arg if type(arg) in _LITERALS else _fill(arg, tensors, batch) for arg in call.args])
    return args, {name: _fill(arg, tensors, batch) for name, arg in call.kwargs.items()}


def _fill(arg: Arg, tensors: Mapping[str, torch.Tensor], batch: Any) -> Arg:
    """Returns an argument filled in. Not an inner function: one that calls itself would keep the tensors alive."""
    if isinstance(arg, Ref):
        return tensors[arg.name]
    if isinstance(arg, PerBatch):
        return arg.offset + arg.slope * batch
    if not isinstance(arg, _SEQUENCES) or _LITERALS.issuperset(map(type, arg)):
        return arg
    return type(arg)([_fill(inner, tensors, batch) for inner in arg])


@cache
def find_operation(target: str) -> torch._ops.OpOverload:
    """Returns the ATen operation of a name such as `aten.conv2d.default`.

    Raises:
        KeyError: it is no ATen operation; a file must not name anything else.
    """
    namespace, name, overload = target.split(".")
    if namespace != "aten" or name in _TOUCHES_FILES or not hasattr(torch.ops.aten, name):
        raise KeyError(target)
    operation: torch._ops.OpOverload = getattr(getattr(torch.ops.aten, name), overload)
    return operation
