"""Plan -> a dense ONNX model: carries out what was decided, natively, on the classifier's own nodes and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from fullyconv.analyze.plan import Output, Plan, Step
from fullyconv.capture.onnx_file import CapturedOnnx
from fullyconv.graph import Operation
from fullyconv.rewrite.onnx_builder import OnnxBuilder
from fullyconv.rewrite.onnx_lowering import OnnxLowering, Surround
from fullyconv.rewrite.onnx_steps import lower_to_onnx
from fullyconv.rewrite.onnx_weights import OnnxWeights

# Of the file format; the operators of opset 18 came with it.
_IR_VERSION = 8


@dataclass(frozen=True, slots=True)
class DenseOnnx:
    """A dense network as an ONNX model.

    Attributes:
        model: takes `(N, C, H, W)`; its outputs are the scores on the grid, those of them that no window gives.
        names: for each dense tensor of the plan that logits or windows are made of, the name that it has here.
    """

    model: ir.Model
    names: Mapping[str, str]


def apply_to_onnx(plan: Plan, captured: CapturedOnnx) -> DenseOnnx:
    """Returns the dense network that the plan describes, the windowed head aside; the classifier is not changed.

    Raises:
        ModelError: a step has no ONNX form.
    """
    return OnnxWriter(plan, captured).write()


class OnnxWriter:
    """Writes the nodes of one plan.

    Attributes:
        stride_px: pixels between neighbouring scores, `(sy, sx)`.
        values: dense tensors by name.
    """

    def __init__(self, plan: Plan, captured: CapturedOnnx) -> None:
        """Begins a model with its image."""
        self.plan = plan
        self.stride_px = plan.grid.stride_px
        self.captured = captured
        source = captured.source.model
        self.dtype = ir.DataType.from_numpy(np.dtype(captured.source.dtype))
        shape = ir.Shape(["batch", captured.graph.image.shape[1], "height", "width"])
        self.image = ir.Value(name=captured.graph.image.name, shape=shape, type=ir.TensorType(self.dtype))
        self.builder = OnnxBuilder([self.image], source.graph.opset_imports)
        self.weights = OnnxWeights(captured, self.builder)
        self.values = {str(self.image.name): self._align()}
        self.nodes = {node.name: node for node in captured.graph.nodes}
        self.originals = {str(node.name): node for node in source.graph}

    def write(self) -> DenseOnnx:
        """Returns the whole model."""
        self.write_steps()
        finals = {output.value: self._finish(output) for output in self.plan.outputs if output.tensor}
        cut = [cut.tensor for cut in self.plan.cuts]
        self.builder.begin("maps")
        logits = [output.tensor for output in self.plan.logits if output.tensor]
        maps = {tensor: self._expose(tensor) for tensor in dict.fromkeys([*cut, *logits])}
        for name, value in finals.items():
            self.builder.rename(value, name)
        self.builder.graph.outputs.extend([*finals.values(), *(maps[tensor] for tensor in dict.fromkeys(cut))])
        source = self.captured.source.model
        model = ir.Model(self.builder.graph, ir_version=max(_IR_VERSION, source.ir_version), producer_name="fullyconv")
        return DenseOnnx(model, {tensor: str(value.name) for tensor, value in maps.items()})

    def write_steps(self) -> None:
        """Writes all steps and keeps what they make."""
        for step in self.plan.steps:
            self.builder.begin(step.output)
            maps = [self.values[used] for used in step.inputs if isinstance(used, str)]
            value = self.lower(step, step.op, maps)
            self.values[step.output] = self.builder.rename(value, self.name(step.output), step.node)

    def name(self, tensor: str) -> str:
        """Returns what a dense tensor is called; outputs of the model get their names at the end, on the grid."""
        return f"{tensor}:cells" if tensor in {output.value for output in self.plan.outputs} else tensor

    def lower(self, step: Step, op: Operation, maps: Sequence[ir.Value], surround: Surround | None = None) -> ir.Value:
        """Returns what a step makes of its maps, by an operation that may have another stride than the step's.

        Args:
            step: the step.
            op: its operation.
            maps: what it reads.
            surround: what pads with a map's last cells where the runtime cannot; see `OnnxLowering`.
        """
        waiting = iter(maps)
        inputs = tuple(next(waiting) if isinstance(used, str) else self.weights.add(used, step) for used in step.inputs)
        weights = tuple(None if used is None else self.weights.add(used, step) for used in step.weights)
        low = OnnxLowering(
            step, op, inputs, weights, self.nodes[step.node], self.originals[step.node],
            self.image, self.plan.grid.window_px, self.builder, self.weights, surround,
        )  # fmt: skip
        value = lower_to_onnx(low)
        value.dtype = self.find_dtype(step)
        return value

    def find_dtype(self, step: Step) -> ir.DataType:
        """Returns the number type of what a step makes."""
        return ir.DataType.from_numpy(np.dtype(self.nodes[step.node].outputs[0].dtype))

    def _align(self) -> ir.Value:
        """Returns the image padded with zeros to window + k*stride, where branches would disagree otherwise."""
        if not self.plan.align:
            return self.image
        self.builder.begin("align")
        build, grid = self.builder, self.plan.grid
        past = build.add("Sub", [build.numbers(*grid.window_px), build.size(self.image)])
        missing = build.add(
            "Mod", [past, build.numbers(*grid.stride_px)]
        )  # of a negative number: up to the next multiple
        pads = build.add("Concat", [build.numbers(0, 0, 0, 0, 0, 0), missing], axis=0)
        padded = build.add("Pad", [self.image, pads, self.weights.make_scalar(0.0)])
        padded.dtype, padded.shape = self.dtype, self.image.shape
        return padded

    def _expose(self, tensor: str) -> ir.Value:
        """Returns a dense tensor as something that can be an output: the image itself cannot."""
        value = self.values[tensor]
        if value is not self.image:
            value.shape = ir.Shape(["batch", None, None, None])
            return value
        copy = self.builder.add("Identity", [value])
        copy.dtype, copy.shape = self.dtype, self.image.shape
        return copy

    def _finish(self, output: Output) -> ir.Value:
        """Returns `(N, C, H, W)` as `(N, d1, ..., Gy, Gx)`, in the order of the model's output, cut to the grid."""
        self.builder.begin(f"{output.value}:scores")
        scores = self.values[output.tensor]
        if output.order != tuple(range(len(output.order))):
            axes = len(output.channels)
            split = self.builder.reshape_channels(scores, output.channels, scores)
            moved = self.builder.add(
                "Transpose", [split], perm=[0, *(1 + place for place in output.order), axes + 1, axes + 2]
            )
            scores = self.builder.reshape_channels(moved, output.shape, self.values[output.tensor])
        elif len(output.shape) > 1:
            scores = self.builder.reshape_channels(scores, output.shape, scores)
        grid = self.builder.count_windows(self.image, self.plan.grid.window_px, self.stride_px)
        rank = 1 + len(output.shape)
        cut = self.builder.slice(scores, [rank, rank + 1], [0, 0], grid)
        cut.dtype = ir.DataType.from_numpy(np.dtype(self.captured.trace.dtypes[output.value]))
        cut.shape = ir.Shape(["batch", *output.shape, "rows", "columns"])
        return cut
