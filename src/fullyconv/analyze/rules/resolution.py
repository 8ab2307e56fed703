"""Space to depth and depth to space: the map becomes coarser or finer, and no value changes."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from fullyconv.analyze.build import Build, count_channels
from fullyconv.analyze.factors import Axis
from fullyconv.analyze.fields import Refusal, make_map_axes
from fullyconv.analyze.folding import fold_map, unfold_map
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import DepthToSpace, Node, SpaceToDepth


@rule(SpaceToDepth)
def carry_space_to_depth(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Blocks of cells become channels: a stride. Rows and columns at the image's end that fill no block are dropped.

    Refused: axes that are not `(N, C, H, W)`.
    """
    op = node.op
    assert isinstance(op, SpaceToDepth)
    field = build.prepare_map(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    inner = build.make_channel(op.block[0]), build.make_channel(op.block[1])
    folded = fold_map(node, field, inner, build)
    axes = make_map_axes(field.axes[0], folded.channels, folded.extent)
    return (folded.with_axes(axes),)


@rule(DepthToSpace)
def carry_depth_to_space(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Channels become blocks of cells; windows lie no closer than before.

    Refused: axes that are not `(N, C, H, W)`; cells smaller than a pixel.
    """
    op = node.op
    assert isinstance(op, DepthToSpace)
    field = build.prepare_map(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    kept = build.make_channel(count_channels(field) // prod(op.block))
    inner: tuple[Axis, Axis] = build.make_channel(op.block[0]), build.make_channel(op.block[1])
    split = replace(field, channels=(*kept, *inner[0], *inner[1]))
    unfolded = unfold_map(node, split, inner, build)
    if isinstance(unfolded, Refusal):
        return unfolded
    return (unfolded.with_axes(make_map_axes(field.axes[0], kept, unfolded.extent)),)
