"""Steps that put values elsewhere, or work along a part of the channels, as ATen calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fullyconv.analyze.rearrangement import (
    AlongChannels,
    FoldMap,
    Multiply,
    MultiplyMatrices,
    Span,
    TakeChannels,
    UnfoldMap,
)
from fullyconv.capture.calls import Call, Ref
from fullyconv.graph import Upsample
from fullyconv.rewrite.lowering import Lowering
from fullyconv.rewrite.program import Instruction


def _lower_fold(low: Lowering) -> list[Instruction]:
    """ATen's unfold leaves out what fills no block, whatever the map's size."""
    rows, columns = low.op.block
    return low.chain(
        ("aten.unfold.default", (2, rows, rows)),
        ("aten.unfold.default", (3, columns, columns)),
        ("aten.permute.default", ([0, 1, 4, 5, 2, 3],)),
        ("aten.flatten.using_ints", (1, 3)),
    )


def _lower_unfold(low: Lowering) -> list[Instruction]:
    rows, columns = low.op.block
    return low.chain(
        ("aten.unflatten.int", (1, [-1, rows, columns])),
        ("aten.permute.default", ([0, 1, 4, 2, 5, 3],)),
        ("aten.flatten.using_ints", (2, 3)),
        ("aten.flatten.using_ints", (3, 4)),
    )


def _lower_upsampling(low: Lowering) -> list[Instruction]:
    """ATen's own upsampling, which divides in float32, where that is exact: by powers of two; else by expanding."""
    op: Upsample = low.op
    assert op.times is not None  # its rule refuses that
    factors = [float(times) for times in op.times]
    if op.kind != "nearest":
        name = {"linear": "bilinear", "cubic": "bicubic"}[op.kind]
        return low.make(f"aten.upsample_{name}2d.vec", None, False, factors)
    if not any(times & (times - 1) for times in op.times):
        return low.make("aten.upsample_nearest2d.vec", None, factors)
    return low.chain(
        ("aten.unsqueeze.default", (4,)),
        ("aten.unsqueeze.default", (3,)),
        ("aten.expand.default", ([-1, -1, -1, op.times[0], -1, op.times[1]],)),
        ("aten.flatten.using_ints", (2, 3)),
        ("aten.flatten.using_ints", (3, 4)),
    )


def _lower_take(low: Lowering) -> list[Instruction]:
    return _along(low, low.op.span, "aten.index_select.default", lambda axis: (axis, low.weights[0]))


def _lower_along(low: Lowering) -> list[Instruction]:
    op: AlongChannels = low.op
    overload = {"softmax": "int", "log_softmax": "int"}.get(op.kind, "default")
    return _along(low, op.span, f"aten.{op.kind}.{overload}", lambda axis: (axis,))


def _lower_multiply(low: Lowering) -> list[Instruction]:
    return [Call("aten.mul.Tensor", tuple(Ref(name) for name in low.inputs), outputs=(low.step.output,))]


def _lower_products(low: Lowering) -> list[Instruction]:
    """The rows and columns of a map go before the matrices."""
    op: MultiplyMatrices = low.op
    first, second = (f"{low.step.output}/{side}" for side in ("first", "second"))
    sizes = (op.groups, op.rows, op.inner), (op.groups, op.inner, op.columns)
    calls: list[Instruction] = []
    for name, side, size in zip(low.inputs, (first, second), sizes, strict=True):
        calls.append(Call("aten.unflatten.int", (Ref(name), 1, list(size)), outputs=(f"{side}/matrices",)))
        calls.append(Call("aten.permute.default", (Ref(f"{side}/matrices"), [0, 4, 5, 1, 2, 3]), outputs=(side,)))
    product, moved = f"{low.step.output}/product", f"{low.step.output}/moved"
    return [
        *calls,
        Call("aten.matmul.default", (Ref(first), Ref(second)), outputs=(product,)),
        Call("aten.permute.default", (Ref(product), [0, 3, 4, 5, 1, 2]), outputs=(moved,)),
        Call("aten.flatten.using_ints", (Ref(moved), 1, 3), outputs=(low.step.output,)),
    ]


def _along(
    low: Lowering, span: Span, target: str, make_arguments: Callable[[int], tuple[Any, ...]]
) -> list[Instruction]:
    """Returns an operation along a span of the channels; `make_arguments` gets the axis that is the span alone."""
    if span.is_whole:
        return low.make(target, *make_arguments(1))
    return low.chain(
        ("aten.unflatten.int", (1, [span.outer, span.size, span.inner])),
        (target, make_arguments(2)),
        ("aten.flatten.using_ints", (1, 3)),
    )


REARRANGEMENTS: Mapping[type, Callable[[Lowering], list[Instruction]]] = {
    FoldMap: _lower_fold,
    UnfoldMap: _lower_unfold,
    Upsample: _lower_upsampling,
    TakeChannels: _lower_take,
    AlongChannels: _lower_along,
    Multiply: _lower_multiply,
    MultiplyMatrices: _lower_products,
}
