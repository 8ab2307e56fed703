"""Operations that only re-order the book-keeping: reshaping, transposing, and doing nothing."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import regroup
from fullyconv.analyze.fields import Refusal
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Identity, Node, Permute, Regroup


@rule(Identity)
def carry_identity(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Dropout at evaluation, copies and the like change nothing."""
    return (get_field(inputs),)


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
