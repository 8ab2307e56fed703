"""How far apart the windows of a network should lie, also where it runs on windows.

What runs densely says so by its field. Beyond, an estimate: each value's rows and columns are followed through
reshapes and permutations, and through whatever keeps a shape. It decides nothing about numbers, which are right
at any distance of windows; only how many of them there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from fullyconv.analyze.factors import Kind
from fullyconv.analyze.fields import Field
from fullyconv.graph import (
    Concat,
    Conv,
    Dense,
    DepthToSpace,
    Node,
    Pair,
    Permute,
    Regroup,
    Select,
    Shape,
    Slice,
    SpaceToDepth,
    Split,
    Unbind,
    Upsample,
    WindowPool,
)
from fullyconv.patches import Overlap, Patches, TransposedConv


@dataclass(frozen=True, slots=True)
class Part:
    """One factor of an axis.

    Attributes:
        size: at window size.
        kind: Y or X for cells, also for those within a block that a reshape folded; else CHANNEL.
        stride: pixels between neighbouring cells.
    """

    size: int
    kind: Kind = Kind.CHANNEL
    stride: int = 0


Parts = tuple[Part, ...]

# The same shape may come out with its axes in another order, or with cells of another size.
_REORDERS = (Permute, Regroup, Conv, WindowPool)


@dataclass(frozen=True, slots=True)
class Nominal:
    """What is known about where a value's cells lie.

    Attributes:
        stride: pixels between neighbouring cells.
        axes: the value's axes, None where they are not known.
    """

    stride: Pair = (1, 1)
    axes: tuple[Parts, ...] | None = None


def make_nominal(shape: Shape, stride: Pair) -> Nominal:
    """Returns what is known about a map `(N, C, H, W)`; only the stride of any other shape."""
    if len(shape) != 4:
        return Nominal(stride)
    n, c, h, w = shape
    return Nominal(stride, ((Part(n),), (Part(c),), (Part(h, Kind.Y, stride[0]),), (Part(w, Kind.X, stride[1]),)))


def read_nominal(field: Field) -> Nominal:
    """Returns what a field says."""
    strides = {Kind.Y: field.y.stride, Kind.X: field.x.stride}
    axes = tuple(tuple(Part(f.size, f.kind, strides.get(f.kind, 0)) for f in axis) for axis in field.axes)
    return Nominal(field.stride, axes)


def follow(
    node: Node,
    known: Mapping[str, Nominal],
    shapes: Mapping[str, Shape],
    field: Field | None = None,
    *,
    place: int = 0,
) -> Nominal:
    """Returns what is known about one output of a node.

    Args:
        node: any.
        known: what is known about its inputs; constants have no entry.
        shapes: of all values at window size.
        field: of the output, where it has one.
        place: which output.
    """
    inputs = [(known[name], shapes[name]) for name in node.inputs if name in known] or [(Nominal(), ())]
    shape = node.outputs[place].shape
    stride = max(one.stride[0] for one, _ in inputs), max(one.stride[1] for one, _ in inputs)
    kept = next((one for one, own in inputs if one.axes is not None and own == shape), None)
    if kept is not None and not isinstance(node.op, _REORDERS):
        return kept  # the value that something is added to, say
    if isinstance(node.op, Patches) and inputs[0][0].axes is not None:
        return _lay_out_patches(node.op, inputs[0][0].axes, shapes[node.inputs[0]])
    if field is not None and not isinstance(node.op, Permute | Regroup):
        return read_nominal(field)
    if isinstance(node.op, Conv | WindowPool | SpaceToDepth) and inputs[0][0].axes is not None:
        stride = _measure(inputs[0][0].axes[2:], stride)  # cells that were folded into its channels are read at once
    if isinstance(node.op, Overlap):
        return make_nominal(shape, stride)
    if isinstance(node.op, SpaceToDepth):
        return make_nominal(shape, (stride[0] * node.op.block[0], stride[1] * node.op.block[1]))
    if isinstance(node.op, TransposedConv):
        rows, columns = node.op.patches.stride
        return make_nominal(shape, (max(stride[0] // rows, 1), max(stride[1] // columns, 1)))
    if isinstance(node.op, DepthToSpace | Upsample):
        cells = node.op.block if isinstance(node.op, DepthToSpace) else node.op.times or (1, 1)
        return make_nominal(shape, (max(stride[0] // cells[0], 1), max(stride[1] // cells[1], 1)))
    if isinstance(node.op, Conv | WindowPool):
        return make_nominal(shape, _stride_on(node.op, shapes[node.inputs[0]], stride))
    axes = _follow_axes(node, inputs[0][0].axes, shape)
    if axes is not None and tuple(prod(part.size for part in axis) for axis in axes) != shape:
        axes = None  # an operation with outputs of several shapes, say
    return Nominal(_measure(axes, stride), axes)


def _lay_out_patches(op: Patches, axes: tuple[Parts, ...], shape: Shape) -> Nominal:
    """Returns what is known about columns of a map `(N, C, H, W)`: they hold its cells, and lie at steps."""
    rows, columns = _measure(axes[2:], (1, 1))
    fields = zip(shape[2:], op.kernel, op.dilation, op.padding, op.stride, strict=True)
    height, width = ((size + 2 * pad - (kernel - 1) * d - 1) // step + 1 for size, kernel, d, pad, step in fields)
    inner = Part(op.kernel[0], Kind.Y, rows), Part(op.kernel[1], Kind.X, columns)
    places = Part(height, Kind.Y, rows * op.stride[0]), Part(width, Kind.X, columns * op.stride[1])
    return Nominal((rows, columns), (axes[0], (Part(shape[1]), *inner), places))


def _stride_on(op: Conv | WindowPool, shape: Shape, stride: Pair) -> Pair:
    """Returns the stride of an operation's cells on a map `(N, C, H, W)` whose own is `stride`.

    A step beyond the map is none: one cell cannot shrink, and an average over all cells has any stride, often one
    as large as the map.
    """
    is_average = isinstance(op, WindowPool) and op.kind == "average"
    rows, columns = (
        step if step < size or (step == size and not is_average) else 1
        for step, size in zip(op.stride, shape[2:], strict=True)
    )
    return stride[0] * rows, stride[1] * columns


def _follow_axes(node: Node, axes: tuple[Parts, ...] | None, shape: Shape) -> tuple[Parts, ...] | None:
    if axes is None:
        return None
    if isinstance(node.op, Permute):
        return tuple(axes[axis] for axis in node.op.order)
    if isinstance(node.op, Regroup):
        return _regroup(axes, shape)
    if isinstance(node.op, Dense):
        return (*axes[:-1], (Part(shape[-1]),))
    if isinstance(node.op, Select | Unbind):
        return (*axes[: node.op.axis], *axes[node.op.axis + 1 :])
    if isinstance(node.op, Concat | Split | Slice):
        taken = _take(node.op, axes[node.op.axis], shape[node.op.axis])
        return None if taken is None else (*axes[: node.op.axis], taken, *axes[node.op.axis + 1 :])
    return None


def _take(op: Concat | Split | Slice, axis: Parts, size: int) -> Parts | None:
    """Returns an axis of which a part is taken, or that is joined to others."""
    if isinstance(op, Concat) or all(part.kind is Kind.CHANNEL for part in axis):
        return (Part(size),)
    if len(axis) > 1:
        return None
    step = op.step if isinstance(op, Slice) else 1
    return (Part(size, axis[0].kind, axis[0].stride * step),)


def _measure(axes: tuple[Parts, ...] | None, inherited: Pair) -> Pair:
    """Returns the strides of the smallest cells in the axes."""
    parts = [part for axis in axes or () for part in axis if part.size > 1]
    rows = [part.stride for part in parts if part.kind is Kind.Y]
    columns = [part.stride for part in parts if part.kind is Kind.X]
    return min(rows, default=inherited[0]), min(columns, default=inherited[1])


def _regroup(axes: tuple[Parts, ...], shape: Shape) -> tuple[Parts, ...] | None:
    """Returns the axes after a reshape; cells that come together again become the rows that they were."""
    waiting = [part for axis in axes for part in axis if part.size > 1]
    result = []
    for size in shape:
        axis: list[Part] = []
        while prod(part.size for part in axis) < size:
            part, missing = waiting.pop(0), size // prod(part.size for part in axis)
            if missing % part.size:
                if part.size % missing:
                    return None
                inner = part.size // missing
                waiting.insert(0, Part(inner, part.kind, part.stride))
                part = Part(missing, part.kind, part.stride * inner)
            axis.append(part)
        result.append(_merge(axis))
    return tuple(result)


def _merge(axis: list[Part]) -> Parts:
    merged: list[Part] = []
    for part in axis:
        last = merged[-1] if merged else None
        if last and last.kind is part.kind is not Kind.CHANNEL and last.stride == part.stride * part.size:
            merged[-1] = Part(last.size * part.size, part.kind, part.stride)
        else:
            merged.append(part)
    return tuple(merged)
