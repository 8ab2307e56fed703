"""Pooling by a sliding kernel, and pooling to a fixed number of bins."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build, contract
from fullyconv.analyze.factors import Kind
from fullyconv.analyze.fields import Field, Refusal, drop_factors, make_map_axes
from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.plan import RewrittenLayer
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.rules.pool_along import carry_pool_along, narrow_pool
from fullyconv.analyze.sliding import slide_pool
from fullyconv.graph import AdaptivePool, Node, Pair, WindowPool


@rule(WindowPool)
def carry_window_pool(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A pool of a map is the same pool of the dense map; padding and rounding up are noted.

    A pool whose kernel covers the whole feature map is a global pool, as in older residual networks: its stride is
    not the trunk's, so it is evaluated at every cell of the grid. So is one that reaches beyond the map, as networks
    from Caffe have it, where what it finds there does not count.
    A pool along the channels only stays within each cell.
    """
    op = node.op
    assert isinstance(op, WindowPool)
    along = None if get_field(inputs).is_standard() else narrow_pool(op, len(get_field(inputs).axes))
    if along and get_field(inputs).is_channel_axis(along.axis):
        return carry_pool_along(replace(node, op=along), inputs, build)
    field = build.prepare_map(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if max(field.extent) > 1 and _covers(op, field.extent):
        return (pool_window(node, field, replace(op, kernel=field.extent), build),)
    kernels = [(size - 1) * d + 1 for size, d in zip(op.kernel, op.dilation, strict=True)]
    slides = [
        Sliding(kernel, stride, before, after, op.ceil_mode)
        for kernel, stride, (before, after) in zip(kernels, op.stride, op.padding, strict=True)
    ]
    lines = build.slide(node, field, (slides[0], slides[1]))
    if isinstance(lines, Refusal):
        return lines
    tensor = build.emit(node, op, (field.tensor,))
    axes = make_map_axes(field.axes[0], field.axes[1], (lines[0].extent, lines[1].extent))
    return (replace(field, tensor=tensor, axes=axes, y=lines[0], x=lines[1]),)


def _covers(op: WindowPool, extent: Pair) -> bool:
    """Returns whether there is one place for the kernel and it covers a whole map, and nothing else that counts."""
    sides = list(zip(extent, op.kernel, op.stride, op.padding, strict=True))
    fits = all(
        kernel - before >= cells and Sliding(kernel, stride, before, after, op.ceil_mode).count(cells) == 1
        for cells, kernel, stride, (before, after) in sides
    )
    is_exact = op.kernel == extent and not any(map(any, op.padding))
    ignores_rest = op.kind == "max" or op.divisor is not None or not op.count_include_pad
    return op.dilation == (1, 1) and fits and (is_exact or ignores_rest)


@rule(AdaptivePool)
def carry_adaptive_pool(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """An adaptive pool over the window, by the number of bins.

    1. As many bins as cells: nothing to do.
    2. One bin: a pool of the trained size at every cell of the grid.
    3. Average, any bins: waits, to be folded into the linear layer that follows; should anything else follow,
       the bins become channels.
    4. Maximum, any bins: the bins become channels.
    """
    op = node.op
    assert isinstance(op, AdaptivePool)
    field = build.prepare_map(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if op.bins == field.extent:
        return (replace(field, in_head=True),)
    if op.bins == (1, 1):
        return (pool_window(node, field, WindowPool(op.kind, field.extent, (1, 1)), build),)
    binned = field.with_axes(make_map_axes(field.axes[0], field.axes[1], op.bins))
    if op.kind == "max":
        return (build.pool_bins(node, binned, "max", op.bins),)
    return (replace(binned, bins=op.bins),)


def pool_window(node: Node, field: Field, op: WindowPool, build: Build) -> Field:
    """Returns the pool over a window's rows, columns or both, at every cell of the grid; one of each is left.

    The kernel of `op` says over which: it is the field's extent there, and 1 elsewhere.
    """
    if node.name in build.aim.spread and op.kernel == field.extent:
        return slide_pool(node, field, op, build)
    pooled = [size > 1 for size in op.kernel]
    if any(pooled):
        lines = (field.y, field.x)
        steps = [
            build.contraction_step(line, axis) if done else 1
            for axis, (line, done) in enumerate(zip(lines, pooled, strict=True))
        ]
        pool = replace(op, stride=(steps[0], steps[1]), padding=((0, 0), (0, 0)), ceil_mode=False)
        tensor = build.emit(node, pool, (field.tensor,))
        kind, name = f"pool of the whole window, {op.kind}", node.layer or node.name
        build.note_layer(node, RewrittenLayer(name, kind, node.outputs[0].shape[1:], op.kernel))
        y, x = (contract(line, step) if done else line for line, step, done in zip(lines, steps, pooled, strict=True))
        field = replace(field, tensor=tensor, y=y, x=x, in_head=True)
    kinds = tuple(kind for kind, line in ((Kind.Y, field.y), (Kind.X, field.x)) if line.extent == 1)
    return field.with_axes(drop_factors(field.axes, kinds))
