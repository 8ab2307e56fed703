"""Calls of a strided step at a smaller stride: its results at every phase, of which fragments are made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fullyconv.capture.calls import Call, Ref
from fullyconv.graph import Pair
from fullyconv.refine.slides import Slide
from fullyconv.rewrite.program import GridCall, Instruction

_TO_THE_END = 2**62
_MAX_POOL = "aten.max_pool2d.default"


def loosen_step(instructions: tuple[Instruction, ...], slide: Slide, factor: Pair) -> list[Instruction]:
    """Returns the instructions of a strided step with its stride divided by `factor` along both axes.

    The results may have more cells at the end than belong to a phase, never fewer.
    """
    last = instructions[-1]
    if isinstance(last, Call) and len(instructions) == 1 and last.target == _MAX_POOL:
        return _loosen_max(last, slide, factor)
    if slide.ceil is not None:
        assert isinstance(last, Call)  # an average pool, which is one call
        return _loosen_average(last, slide, factor)
    return [_loosen(instruction, factor) for instruction in instructions]


def _loosen(instruction: Instruction, factor: Pair) -> Instruction:
    if isinstance(instruction, GridCall):
        step = (instruction.step[0] // factor[0], instruction.step[1] // factor[1])
        return replace(instruction, step=step)
    place = _STRIDES.get(instruction.target)
    if place is None:
        return instruction
    args = list(instruction.args)
    if place < 0:  # one axis by its number, then its stride last
        axis = args[1] - 2
        args[-1] = args[-1] // factor[axis] if axis in (0, 1) else args[-1]
    else:
        args[place] = [stride // by for stride, by in zip(args[place], factor, strict=True)]
    return replace(instruction, args=tuple(args))


# Where an operation has its strides; -1 for one axis, with the stride last.
_STRIDES = {
    "aten.conv2d.default": 3,
    "aten.max_pool2d.default": 2,
    "aten.avg_pool2d.default": 2,
    "aten.slice.Tensor": -1,
    "aten.unfold.default": -1,
}


def _loosen_max(call: Call, slide: Slide, factor: Pair) -> list[Instruction]:
    """A pool at stride 1 is the maximum of shifted maps: the kernel for pools looks at each value many times."""
    x, kernel, stride, (top, left), dilation, _ = call.args
    name, left_over = call.outputs[0], _divide(stride, factor)
    bottom, right = (0, 0) if slide.ceil is None else (slide.ceil[0].stride - 1, slide.ceil[1].stride - 1)
    pads = [left, left + right, top, top + bottom]
    calls: list[Instruction] = []
    if any(pads):
        calls.append(Call("aten.constant_pad_nd.default", (x, pads, float("-inf")), outputs=(f"{name}/padded",)))
        x = Ref(f"{name}/padded")
    if left_over != [1, 1] or dilation != [1, 1]:
        return [*calls, Call(_MAX_POOL, (x, kernel, left_over, [0, 0], dilation, False), outputs=(name,))]
    steps = [(axis, shift) for axis, size in ((2, kernel[0]), (3, kernel[1])) for shift in _double(size)]
    for place, (axis, shift) in enumerate(steps):
        first, later = f"{name}/{place}/first", f"{name}/{place}/later"
        result = name if place == len(steps) - 1 else f"{name}/{place}"
        calls += [
            Call("aten.slice.Tensor", (x, axis, 0, -shift), outputs=(first,)),
            Call("aten.slice.Tensor", (x, axis, shift, _TO_THE_END), outputs=(later,)),
            Call("aten.maximum.default", (Ref(first), Ref(later)), outputs=(result,)),
        ]
        x = Ref(result)
    return calls


def _double(size: int) -> Iterator[int]:
    """Yields by how much to shift maxima so that they reach over `size` cells: twice as many each time, at most."""
    reached = 1
    while reached < size:
        shift = min(reached, size - reached)
        yield shift
        reached += shift


def _loosen_average(call: Call, slide: Slide, factor: Pair) -> list[Instruction]:
    """Sums, divided by how many cells the kernel covers: the rest of a kernel beyond the end does not count."""
    x, kernel, stride, padding, _, counts_padding, divisor = call.args
    name, pad = call.outputs[0], "aten.constant_pad_nd.default"
    (top, left), pool = padding, (kernel, _divide(stride, factor))
    calls = [
        Call(pad, (x, _reach(slide), 0.0), outputs=(f"{name}/padded",)),
        Call(
            "aten.avg_pool2d.default",
            (Ref(f"{name}/padded"), *pool, padding, False, True, divisor or 1),
            outputs=(f"{name}/sums",),
        ),
    ]
    if divisor:
        return [calls[0], replace(calls[1], outputs=(name,))]
    around = [left, left, top, top]
    return [
        *calls,
        Call("aten.slice.Tensor", (x, 1, 0, 1), outputs=(f"{name}/channel",)),
        Call("aten.ones_like.default", (Ref(f"{name}/channel"),), outputs=(f"{name}/ones",)),
        Call(pad, (Ref(f"{name}/ones"), around, float(counts_padding)), outputs=(f"{name}/counted",)),
        Call(pad, (Ref(f"{name}/counted"), _reach(slide), 0.0), outputs=(f"{name}/cells",)),
        Call(
            "aten.avg_pool2d.default",
            (Ref(f"{name}/cells"), *pool, [0, 0], False, True, 1),
            outputs=(f"{name}/counts",),
        ),
        Call("aten.div.Tensor", (Ref(f"{name}/sums"), Ref(f"{name}/counts")), outputs=(name,)),
    ]


def _reach(slide: Slide) -> list[int]:
    """Returns the padding right and bottom that the last placement of every phase may need."""
    assert slide.ceil is not None  # the caller knows
    rows, columns = slide.ceil
    return [0, columns.stride - 1, 0, rows.stride - 1]


def _divide(stride: Any, factor: Pair) -> list[int]:
    return [size // by for size, by in zip(stride, factor, strict=True)]
