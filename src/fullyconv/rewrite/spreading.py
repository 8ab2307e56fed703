"""Calls of a step on a map whose fragments lie in one another: what looks at neighbours looks further, by the hole.

Each call is translated by itself, for what it does on every fragment; one that cannot be is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from fullyconv.capture.calls import Call, Ref
from fullyconv.graph import Pair
from fullyconv.refine.edges import Edge
from fullyconv.refine.slides import Slide
from fullyconv.rewrite.loosening import loosen_step
from fullyconv.rewrite.program import GridCall, Instruction
from fullyconv.rewrite.refined import Stage

Arguments = tuple[Any, ...]

_TO_THE_END = 2**62
_EXACT_SUMS = (1, 2, 4)  # cells of an average; fragments that lie apart are averaged over more by one call
_AVERAGE_DEFAULTS: Arguments = ([0, 0], False, True, None)  # padding, whether it rounds up and counts padding, divisor
_POOL_DEFAULTS: Arguments = ([0, 0], [1, 1], False)  # padding, dilation, whether it rounds up


def loosen_stage(stage: Stage, factors: Pair) -> Sequence[Instruction]:
    """Returns the instructions of a stage with its stride divided by `factors`."""
    if factors == (1, 1):
        return stage.instructions
    assert stage.slide is not None  # only what slides has phases
    return loosen_step(stage.instructions, stage.slide, factors)


def spread_stage(stage: Stage, hole: Pair, factors: Pair) -> Sequence[Instruction] | None:
    """Returns the instructions of a stage on a map whose fragments lie in one another; None where there are none.

    What rounds up at the end has none, unless it stays as it is: its fragments do not end where the map does.

    Args:
        stage: what runs.
        hole: how many cells it is from one cell of a fragment to the next, `(y, x)`.
        factors: by what its stride is divided.
    """
    if (hole == factors == (1, 1)) or stage.edge == Edge():
        return stage.instructions
    if stage.slide is not None and stage.slide.ceil is not None:
        return None
    if hole == (1, 1):
        return loosen_stage(stage, factors)
    loose = loosen_step(stage.instructions, stage.slide or Slide(), factors)  # pools become shifts also where they stay
    found: list[Instruction] = []
    for instruction in loose:
        spread = _spread(instruction, hole)
        if spread is None:
            return None
        found += spread
    return found


def _spread(instruction: Instruction, hole: Pair) -> list[Instruction] | None:
    if isinstance(instruction, GridCall):
        return [instruction] if _stays(instruction.step, hole) else None
    if instruction.target == "aten.avg_pool2d.default":
        return _spread_average(instruction, hole)
    find = _ARGUMENTS.get(instruction.target)
    args = None if find is None else find(instruction.args, hole)
    return None if args is None else [replace(instruction, args=args)]


def _spread_average(call: Call, hole: Pair) -> list[Instruction] | None:
    """A small one is a sum of shifted maps, as there is none with holes: in the order of rows, as a pool adds.

    Values are divided before they are added, so that sums of half-precision numbers stay in their range. By a power of
    two that is exact, and the sum is the pool's to the last bit; other averages are not spread.
    """
    args: Arguments = call.args + _AVERAGE_DEFAULTS[len(call.args) - 3 :]
    x, (height, width), stride, padding, _, _, divisor = args
    if any(padding) or not _stays(stride, hole) or height * width not in _EXACT_SUMS or divisor is not None:
        return None
    name = call.outputs[0]
    calls = [Call("aten.div.Tensor", (x, height * width), outputs=(f"{name}/shares",))]
    total = ""
    for row, column in product(range(height), range(width)):
        part = f"{name}/{row}/{column}"
        calls += _shift(f"{name}/shares", part, (2, row, height), stride[0], hole[0])
        calls += _shift(f"{part}/rows", part, (3, column, width), stride[1], hole[1])
        if total:
            calls.append(Call("aten.add.Tensor", (Ref(total), Ref(part)), outputs=(f"{part}/sum",)))
        total = f"{part}/sum" if total else part
    return [*calls[:-1], replace(calls[-1], outputs=(name,))]


def _shift(x: str, part: str, along: tuple[int, int, int], stride: int, hole: int) -> Iterator[Call]:
    """Yields the call that takes one of a kernel's places along an axis: `along` is the axis, the place, how many."""
    axis, place, count = along
    stop = (place + 1 - count) * hole or _TO_THE_END
    output = f"{part}/rows" if axis == 2 else part
    yield Call("aten.slice.Tensor", (Ref(x), axis, place * hole, stop, stride), outputs=(output,))


def _stays(stride: Sequence[int], hole: Pair) -> bool:
    """Returns whether nothing is left out along an axis with a hole, which would leave out fragments."""
    return all(step == 1 or by == 1 for step, by in zip(stride, hole, strict=True))


def _times(sizes: Sequence[int], hole: Pair) -> list[int]:
    return [size * by for size, by in zip(sizes, hole, strict=True)]


def _spread_conv(args: Arguments, hole: Pair) -> Arguments | None:
    *tensors, stride, padding, dilation, groups = args
    if not _stays(stride, hole):
        return None
    return (*tensors, stride, _times(padding, hole), _times(dilation, hole), groups)


def _spread_max(args: Arguments, hole: Pair) -> Arguments | None:
    """Of its kernel, torch allows a half to be padding, whose size does not grow as its dilation does."""
    x, kernel, stride, padding, dilation, ceil = (*args, *_POOL_DEFAULTS[len(args) - 3 :])
    if any(padding) or not _stays(stride, hole):
        return None
    return (x, kernel, stride, padding, _times(dilation, hole), ceil)


def _spread_constant_pad(args: Arguments, hole: Pair) -> Arguments:
    x, pads, *value = args
    return (x, _spread_pads(pads, hole), *value)


def _spread_pad(args: Arguments, hole: Pair) -> Arguments | None:
    x, pads, mode, *value = args
    return (x, _spread_pads(pads, hole), mode, *value) if mode == "constant" else None


def _spread_pads(pads: Sequence[int], hole: Pair) -> list[int]:
    """Columns come first, then rows, and perhaps channels."""
    rows, columns = hole
    return [*_times(pads[:2], (columns, columns)), *_times(pads[2:4], (rows, rows)), *pads[4:]]


def _spread_slice(args: Arguments, hole: Pair) -> Arguments | None:
    x, axis, start, stop, *step = args
    by = hole[axis - 2]
    if axis not in (2, 3) or (by > 1 and step not in ([], [1])):
        return None
    return (x, axis, start * by, min(stop * by, _TO_THE_END), *step)


# What a call on fragments becomes, by its arguments; those of one that looks at no neighbours stay.
_ARGUMENTS: Mapping[str, Callable[[Arguments, Pair], Arguments | None]] = {
    "aten.conv2d.default": _spread_conv,
    "aten.constant_pad_nd.default": _spread_constant_pad,
    "aten.max_pool2d.default": _spread_max,
    "aten.maximum.default": lambda args, _: args,
    "aten.pad.default": _spread_pad,
    "aten.slice.Tensor": _spread_slice,
}
