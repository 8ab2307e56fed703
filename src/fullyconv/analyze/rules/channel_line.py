"""1-D convolutions along the channels of each cell, as gates of channels by their neighbours have them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import Kind
from fullyconv.analyze.fields import Refusal
from fullyconv.analyze.geometry import Sliding
from fullyconv.analyze.plan import ConvAlongChannels, Layout, Weight
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Node, Opaque


@dataclass(frozen=True, slots=True)
class _Numbers:
    """How the kernel moves along the last axis of `(N, C, L)`."""

    stride: int
    padding: int
    dilation: int
    groups: int


@rule("aten.conv1d")
def carry_convolution_along_channels(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A 1-D convolution along an axis that is channels stays within each cell; so does its padding.

    Refused: along rows or columns; a weight that depends on the image; padding by a name, which may be uneven.
    """
    op = node.op
    assert isinstance(op, Opaque)
    if any(value is not None for value in inputs[1:]):
        return Refusal("its weights depend on the image")
    numbers = _read_numbers(dict(op.attributes))
    if numbers is None:
        return Refusal("pads in a way that has a name, and no number")
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    kinds = [{factor.kind for factor in axis} for axis in field.axes]
    if len(kinds) != 3 or not kinds[0] <= {Kind.BATCH} or not (kinds[1] | kinds[2]) <= {Kind.CHANNEL}:
        return Refusal("slides along an axis that is not all channels")
    shape = build.constants[node.inputs[1]].shape
    plain = (*shape, 1, 1)
    weight = Weight(node.inputs[1], Layout(plain, (0, 1, 2, 3, 4), plain, plain))
    bias = Weight(node.inputs[2]) if len(node.inputs) > 2 else None
    step = ConvAlongChannels(field.shape[2], numbers.stride, numbers.padding, numbers.dilation, numbers.groups)
    tensor = build.emit(node, step, (field.tensor,), (weight, bias))
    sliding = Sliding((shape[2] - 1) * numbers.dilation + 1, numbers.stride, numbers.padding, numbers.padding)
    channels, line = build.make_channel(shape[0]), build.make_channel(sliding.count(field.shape[2]))
    return (replace(field, tensor=tensor, axes=(field.axes[0], channels, line), channels=(*channels, *line)),)


def _read_numbers(attributes: dict[str, Any]) -> _Numbers | None:
    values = [attributes[name] for name in ("stride", "padding", "dilation", "groups")]
    if any(isinstance(value, str) for value in values):
        return None
    stride, padding, dilation, groups = (value if isinstance(value, int) else value[0] for value in values)
    return _Numbers(stride, padding, dilation, groups)
