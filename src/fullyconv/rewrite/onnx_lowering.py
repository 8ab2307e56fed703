"""What one step of a plan becomes in ONNX: the place where its nodes are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from fullyconv.analyze.plan import Step
from fullyconv.graph import Node, Pair
from fullyconv.refine.surroundings import Kind
from fullyconv.rewrite.onnx_builder import OnnxBuilder
from fullyconv.rewrite.onnx_weights import OnnxWeights

Surround = Callable[[ir.Value, Kind], ir.Value]


@dataclass(frozen=True, slots=True)
class OnnxLowering:
    """What one step becomes.

    Attributes:
        step: the step.
        op: its operation.
        inputs: what it reads.
        weights: in the operation's order, None for a missing one.
        node: the classifier's node, normalised.
        original: the same as the file has it.
        image: the whole image.
        window: in pixels.
        builder: where its nodes go.
        constants: weights of the classifier by name, as weights of the dense network.
        surround: what pads rows and columns by repeating or mirroring cells where the runtime would find the wrong
            ones; takes the map and the kind of padding, as torch calls it.
    """

    step: Step
    op: Any
    inputs: tuple[ir.Value, ...]
    weights: tuple[ir.Value | None, ...]
    node: Node
    original: ir.Node
    image: ir.Value
    window: Pair
    builder: OnnxBuilder
    constants: OnnxWeights
    surround: Surround | None = None

    @property
    def x(self) -> ir.Value:
        """The first input."""
        return self.inputs[0]

    def add(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """Appends a node and returns its output."""
        return self.builder.add(op_type, inputs, **attributes)


def spell_pads(padding: tuple[Pair, Pair]) -> list[int]:
    """Returns pads as ONNX has them: the beginnings of all axes, then their ends."""
    (top, bottom), (left, right) = padding
    return [top, left, bottom, right]
