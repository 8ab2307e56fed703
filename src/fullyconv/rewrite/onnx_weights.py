"""The weights of a dense ONNX network from those of the classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from fullyconv.analyze.plan import ShiftedBias, Step, Weight
from fullyconv.analyze.rearrangement import Indices, Own, Taps
from fullyconv.capture.onnx_file import CapturedOnnx
from fullyconv.rewrite.kernels import make_shifted_bias, make_weight
from fullyconv.rewrite.onnx_builder import OnnxBuilder

Array = NDArray[Any]


class OnnxWeights:
    """Puts weights into a graph, each when it is asked for the first time, under the classifier's names."""

    def __init__(self, captured: CapturedOnnx, builder: OnnxBuilder) -> None:
        self._captured = captured
        self._builder = builder
        self._known: dict[Any, ir.Value] = {}

    def add(self, weight: Weight | ShiftedBias | Own, step: Step) -> ir.Value:
        """Returns a weight of a step."""
        if isinstance(weight, Weight) and weight.is_plain:
            return self.add_plain(weight.source)
        if weight not in self._known:
            name, array = self._make(weight, step)
            self._known[weight] = self._builder.add_weight(name, ir.tensor(array, name=name))
        return self._known[weight]

    def add_plain(self, name: str) -> ir.Value:
        """Returns a constant of the classifier as it is; what lies outside of the file is not read for that."""
        if name not in self._known:
            stored = self._captured.source.model.graph.initializers.get(name)
            tensor = stored.const_value if stored is not None else None
            if tensor is None:
                tensor = ir.tensor(self._captured.arrays[name](), name=name)
            self._known[name] = self._builder.add_weight(name, tensor)
        return self._known[name]

    def make_scalar(self, number: float) -> ir.Value:
        """Returns a number of the image's number type."""
        return self.make_array(np.array(number), f"number:{number:g}")

    def make_array(self, array: Array, name: str) -> ir.Value:
        """Returns values of the image's number type."""
        typed = np.ascontiguousarray(array).astype(self._captured.source.dtype).reshape(array.shape)
        return self._builder.add_weight(name, ir.tensor(typed, name=name))

    def _make(self, weight: Weight | ShiftedBias | Own, step: Step) -> tuple[str, Array]:
        if isinstance(weight, Indices):
            return f"{step.output}:places", np.array(weight.values, np.int64)
        if isinstance(weight, Taps):
            return f"{step.output}:places", weight.make().astype(self._captured.source.dtype)
        if isinstance(weight, ShiftedBias):
            source = weight.weight.source
            array: Array = make_shifted_bias(weight, self._read)
            return weight.bias or f"{source}:bias", array.astype(self._captured.arrays[source]().dtype)
        array = np.ascontiguousarray(make_weight(weight, self._read))
        return weight.source, array.astype(self._captured.arrays[weight.source]().dtype, copy=False)

    def _read(self, name: str) -> Array:
        return self._captured.arrays[name]()
