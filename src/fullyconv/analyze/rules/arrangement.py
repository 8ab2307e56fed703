"""Operations that only re-order the book-keeping: reshaping, transposing, and doing nothing."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import regroup
from fullyconv.analyze.fields import Refusal, make_map_axes
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Expand, Identity, Node, Permute, Regroup


@rule(Identity)
def carry_identity(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Dropout at evaluation, copies and the like change nothing."""
    return (get_field(inputs),)


@rule(Expand)
def carry_expand(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A statistic of the window around each cell has its rows and columns already; refused: anything else."""
    field = get_field(inputs)
    if not field.is_spread or len(field.axes) != 4:
        return Refusal("a value of the whole window is spread over the map", "inputs")
    axes = make_map_axes(field.axes[0], field.axes[1], field.extent)
    return (replace(field, axes=axes, is_spread=False),)


@rule(Permute)
def carry_permute(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Axes trade places; the dense tensor stays."""
    op = node.op
    assert isinstance(op, Permute)
    field = get_field(inputs)
    return (field.with_axes(tuple(field.axes[axis] for axis in op.order)),)


@rule(Regroup)
def carry_regroup(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Factors are shared out among the new axes; the dense tensor stays.

    Refused: a reshape that splits the batch, the rows or the columns.
    """
    field = get_field(inputs)
    regrouping = regroup(field.axes, node.outputs[0].shape)
    if regrouping is None:
        return Refusal("its reshape splits the batch, the rows or the columns")
    channels = field.channels
    for whole, parts in regrouping.splits:
        if whole in channels:
            place = channels.index(whole)
            channels = (*channels[:place], *parts, *channels[place + 1 :])
    return (replace(field, axes=regrouping.axes, channels=channels),)
