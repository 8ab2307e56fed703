"""Normalisations with fixed statistics, learned slopes, softmax."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.fields import Refusal, layout_for
from fullyconv.analyze.plan import AffineFold, Weight
from fullyconv.analyze.rearrangement import AlongChannels
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.spans import find_span
from fullyconv.graph import ChannelAffine, Node, PRelu, Softmax


@rule(ChannelAffine)
def carry_batch_norm(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Batch normalisation at evaluation scales and shifts each channel.

    After a flatten it scales each position by itself; then, and where another such scale waits before it, it waits to
    be folded into the next linear layer.
    """
    op = node.op
    assert isinstance(op, ChannelAffine)
    if any(value is not None for value in inputs[1:]):
        return Refusal("its statistics depend on the image")
    field = get_field(inputs)
    if len(field.axes) > 1 and field.is_channel_axis(1) and field.is_settled:
        ready = build.prepare(node, field)
        if isinstance(ready, Refusal):
            return ready
        weights = tuple(Weight(name) if name else None for name in node.inputs[1:])
        return (replace(ready, tensor=build.emit(node, op, (ready.tensor,), weights)),)
    if field.parts:
        ready = build.settle(node, field)
        assert isinstance(ready, Refusal)  # there is no dense tensor to normalise
        return ready
    if len(field.axes) != 2 and not (field.affine and field.is_channel_axis(1)):
        return Refusal("normalises an axis that is not the channels")
    shape = (build.constants[node.inputs[1]].shape[0], *(1 for _ in field.axes[2:]))
    fold = AffineFold(op, node.inputs[1:], layout_for(field, shape, offset=1))
    return (replace(field, affine=(*field.affine, fold)),)


@rule(PRelu)
def carry_prelu(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A slope for all values, or one a channel, stays as it is; refused: a slope for each position."""
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    slopes = build.constants[node.inputs[1]].shape
    if slopes not in ((), (1,)) and not (len(field.axes) > 1 and field.is_channel_axis(1)):
        return Refusal("has a slope for each position, before an operation that is not linear")
    return (replace(field, tensor=build.emit(node, node.op, (field.tensor,), (Weight(node.inputs[1]),))),)


@rule(Softmax)
def carry_softmax(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Softmax over channels, or over some factors of them, stays within each cell; refused: over anything else."""
    op = node.op
    assert isinstance(op, Softmax)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    span = find_span(field, op.axis)
    if span is None:
        return Refusal("its sum runs over positions of the window, or over the batch")
    step = op if span.is_whole else AlongChannels("log_softmax" if op.log else "softmax", span)
    return (replace(field, tensor=build.emit(node, step, (field.tensor,))),)
