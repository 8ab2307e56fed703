"""Normalisation of each value by its neighbours among the channels, as one operation."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.fields import Refusal
from fullyconv.analyze.plan import Original
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Node


@rule("onnx.LRN")
def carry_response_norm(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A response norm reads neighbouring channels of the same cell; refused: axes that are not `(N, C, H, W)`."""
    field = build.prepare_map(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    return (replace(field, tensor=build.emit(node, Original(), (field.tensor,))),)
