"""Steps of a plan as ATen calls: one short function for each kind of step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fullyconv.analyze.plan import (
    Add,
    BinPool,
    ChannelNorm,
    ChannelReduce,
    ConvAlongChannels,
    CropMap,
    Original,
    ShuffleChannels,
    SliceChannels,
    SlidingNorm,
    SlidingPool,
    SlidingStatistic,
    ToGrid,
)
from fullyconv.capture.calls import Call, Ref, map_arg
from fullyconv.graph import ChannelAffine, Concat, Conv, Pad, PRelu, Softmax, WindowPool
from fullyconv.rewrite.kernels import find_bin
from fullyconv.rewrite.lowering import Lowering
from fullyconv.rewrite.program import GridCall, Instruction
from fullyconv.rewrite.prototype_steps import PROTOTYPE_LOWERINGS
from fullyconv.rewrite.sliding import lower_sliding_norm, lower_sliding_pool, lower_sliding_statistic
from fullyconv.rewrite.statistic_steps import STATISTIC_LOWERINGS
from fullyconv.rewrite.torch_rearrangement import REARRANGEMENTS

_TO_THE_END = 2**62


def lower_step(lowering: Lowering) -> list[Instruction]:
    """Returns the ATen calls of a step."""
    return _LOWERINGS[type(lowering.op)](lowering)


def _lower_conv(low: Lowering) -> list[Instruction]:
    op: Conv = low.op
    (top, bottom), (left, right) = op.padding
    attributes = (*low.weights, list(op.stride), [top, left], list(op.dilation), op.groups)
    if (top, left) == (bottom, right):
        return low.make("aten.conv2d.default", *attributes)
    plain = (*low.weights, list(op.stride), [0, 0], list(op.dilation), op.groups)
    pads = ([left, right, top, bottom],)
    return low.chain(("aten.constant_pad_nd.default", pads), ("aten.conv2d.default", plain))


def _lower_pool(low: Lowering) -> list[Instruction]:
    op: WindowPool = low.op
    sizes = [list(op.kernel), list(op.stride), [before for before, _ in op.padding]]
    if op.kind == "max":
        return low.make("aten.max_pool2d.default", *sizes, list(op.dilation), op.ceil_mode)
    return low.make("aten.avg_pool2d.default", *sizes, op.ceil_mode, op.count_include_pad, op.divisor)


def _lower_batch_norm(low: Lowering) -> list[Instruction]:
    mean, variance, weight, bias = low.weights
    return low.make("aten.batch_norm.default", weight, bias, mean, variance, False, 0.0, low.op.eps, False)


def _lower_prelu(low: Lowering) -> list[Instruction]:
    return low.make("aten.prelu.default", low.weights[0])


def _lower_softmax(low: Lowering) -> list[Instruction]:
    return low.make("aten.log_softmax.int" if low.op.log else "aten.softmax.int", 1)


def _lower_concat(low: Lowering) -> list[Instruction]:
    parts = [Ref(name) for name in low.inputs]
    return [Call("aten.cat.default", (parts, 1), outputs=(low.step.output,))]


def _lower_add(low: Lowering) -> list[Instruction]:
    names = [low.inputs[0], *(f"{low.step.output}/{i}" for i in range(len(low.inputs) - 2)), low.step.output]
    return [
        Call("aten.add.Tensor", (Ref(total), Ref(part)), outputs=(output,))
        for total, part, output in zip(names[:-1], low.inputs[1:], names[1:], strict=True)
    ]


def _lower_pad(low: Lowering) -> list[Instruction]:
    op: Pad = low.op
    flat = [size for pair in reversed(op.pads[2:]) for size in pair]
    if op.pads[1] != (0, 0):
        flat += op.pads[1]
    return low.make("aten.pad.default", flat, op.mode, op.value if op.mode == "constant" else None)


def _lower_channel_norm(low: Lowering) -> list[Instruction]:
    op: ChannelNorm = low.op
    norm = ("aten.layer_norm.default", ([op.channels], *low.weights, op.eps))
    if op.blocks == 1:
        return low.chain(
            ("aten.permute.default", ([0, 2, 3, 1],)), norm, ("aten.permute.default", ([0, 3, 1, 2],))
        )  # fmt: skip
    return low.chain(
        ("aten.unflatten.int", (1, [op.blocks, op.channels])),
        ("aten.permute.default", ([0, 1, 3, 4, 2],)),
        norm,
        ("aten.permute.default", ([0, 1, 4, 2, 3],)),
        ("aten.flatten.using_ints", (1, 2)),
    )


def _lower_channel_reduce(low: Lowering) -> list[Instruction]:
    op: ChannelReduce = low.op
    target = {"mean": "aten.mean.dim", "max": "aten.amax.default", "sum": "aten.sum.dim_IntList"}[op.kind]
    if op.kept == 1:
        return low.make(target, [1], True)
    return low.chain(("aten.unflatten.int", (1, [op.kept, -1])), (target, ([2], False)))


def _lower_conv_along_channels(low: Lowering) -> list[Instruction]:
    """The channels become the depth of a volume."""
    op: ConvAlongChannels = low.op
    numbers = ([op.stride, 1, 1], [op.padding, 0, 0], [op.dilation, 1, 1], op.groups)
    return low.chain(
        ("aten.unflatten.int", (1, [-1, op.length])),
        ("aten.conv3d.default", (*low.weights, *numbers)),
        ("aten.flatten.using_ints", (1, 2)),
    )


def _lower_shuffle(low: Lowering) -> list[Instruction]:
    op: ShuffleChannels = low.op
    axes = len(op.sizes)
    order = [0, *(1 + place for place in op.order), axes + 1, axes + 2]
    return low.chain(
        ("aten.unflatten.int", (1, list(op.sizes))),
        ("aten.permute.default", (order,)),
        ("aten.flatten.using_ints", (1, axes)),
    )


def _lower_slice(low: Lowering) -> list[Instruction]:
    op: SliceChannels = low.op
    if op.outer == op.inner == 1:
        return low.make("aten.slice.Tensor", 1, op.start, op.stop, op.step)
    return low.chain(
        ("aten.unflatten.int", (1, [op.outer, op.size, op.inner])),
        ("aten.slice.Tensor", (2, op.start, op.stop, op.step)),
        ("aten.flatten.using_ints", (1, 3)),
    )


def _lower_crop(low: Lowering) -> list[Instruction]:
    op: CropMap = low.op
    cuts = zip((2, 3), op.before, op.after, op.step, strict=True)
    return low.chain(*(
        ("aten.slice.Tensor", (axis, before, -after or _TO_THE_END, step)) for axis, before, after, step in cuts
    ))  # fmt: skip


def _lower_bins(low: Lowering) -> list[Instruction]:
    """One pool for each bin: its kernel is the bin, on the map without what lies outside of it in every window.

    A bin of one cell is that cell, whatever its number type.
    """
    op: BinPool = low.op
    target = "aten.max_pool2d.default" if op.kind == "max" else "aten.avg_pool2d.default"
    calls: list[Instruction] = []
    parts = []
    for row in range(op.bins[0]):
        for column in range(op.bins[1]):
            spans = [find_bin(place, op.bins[axis], op.extent[axis]) for axis, place in ((0, row), (1, column))]
            kernel = [stop - start for start, stop in spans]
            steps = op.stride if kernel == [1, 1] else (1, 1)
            name, last = f"{low.step.output}/{row}/{column}", low.inputs[0]
            for axis, (start, stop) in enumerate(spans):
                end, cut = stop - op.extent[axis] or _TO_THE_END, f"{name}/{axis}"
                calls.append(Call("aten.slice.Tensor", (Ref(last), 2 + axis, start, end, steps[axis]), outputs=(cut,)))
                last = cut
            if kernel != [1, 1]:
                calls.append(Call(target, (Ref(last), kernel, list(op.stride)), outputs=(name,)))
                last = name
            parts.append(Ref(last))
    return [*calls, Call("aten.cat.default", (parts, 1), outputs=(low.step.output,))]


def _lower_to_grid(low: Lowering) -> list[Instruction]:
    op: ToGrid = low.op
    return [GridCall(low.inputs[0], low.step.output, op.step, op.stride_px)]


def _lower_original(low: Lowering) -> list[Instruction]:
    operands = iter(low.inputs)

    def leaf(arg: Any) -> Any:
        return Ref(next(operands)) if isinstance(arg, Ref) else arg

    args = map_arg(low.call.args, leaf)
    kwargs = {name: map_arg(arg, leaf) for name, arg in low.call.kwargs.items()}
    return [Call(_make_functional(low.call.target), args, kwargs, (low.step.output,))]


def _make_functional(target: str) -> str:
    """Returns the form of an operation that does not write into its input, which others may still read here."""
    namespace, name, overload = target.split(".")
    return f"{namespace}.{name.removesuffix('_')}.{overload}"


_LOWERINGS: Mapping[type, Callable[[Lowering], list[Instruction]]] = {
    Conv: _lower_conv,
    WindowPool: _lower_pool,
    ChannelAffine: _lower_batch_norm,
    PRelu: _lower_prelu,
    Softmax: _lower_softmax,
    Concat: _lower_concat,
    Add: _lower_add,
    Pad: _lower_pad,
    ChannelNorm: _lower_channel_norm,
    ChannelReduce: _lower_channel_reduce,
    ConvAlongChannels: _lower_conv_along_channels,
    ShuffleChannels: _lower_shuffle,
    SliceChannels: _lower_slice,
    CropMap: _lower_crop,
    BinPool: _lower_bins,
    SlidingPool: lower_sliding_pool,
    SlidingNorm: lower_sliding_norm,
    SlidingStatistic: lower_sliding_statistic,
    ToGrid: _lower_to_grid,
    Original: _lower_original,
    **REARRANGEMENTS,
    **STATISTIC_LOWERINGS,
    **PROTOTYPE_LOWERINGS,
}
