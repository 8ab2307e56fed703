"""An ONNX file with weights under which errors show: random, and each layer fitted to images as it is reached.

The idea is that of classifiers/weights.py, on nodes instead of modules: the nodes run one after the other, and the
weights of each are fitted to what it is given before it runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from classifiers.weights import NORM_DEVIATION, measure
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[np.float32]
Values = dict[str, list[Array]]

_LAYERS = {"Conv", "Gemm", "MatMul"}
_FATAL = 4


def fill_weights(model: onnx.ModelProto, image: str, images: Sequence[Array], seed: int) -> onnx.ModelProto:
    """Returns the model with weights in place of `ConstantOfShape` nodes, fitted to images.

    Args:
        model: is not changed.
        image: the name of its input.
        images: `(1, C, h, w)` each; the weights are fitted to what they give.
        seed: of the weights.
    """
    filled = onnx.ModelProto()
    filled.CopyFrom(model)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in filled.graph.initializer}
    constants = [node for node in filled.graph.node if node.op_type == "ConstantOfShape" and node.input[0] in shapes]
    weights = {node.output[0]: tuple(int(size) for size in shapes[node.input[0]]) for node in constants}
    fitted = _Fitting(filled, weights, seed).run({image: list(images)})
    for node in constants:
        filled.graph.node.remove(node)
        _drop(filled.graph, node.input[0])
    filled.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in fitted.items())
    filled.graph.input.extend(  # files of version 3 list their weights among the inputs
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape) for name, array in fitted.items()
    )
    return filled


def _drop(graph: onnx.GraphProto, name: str) -> None:
    for field in (graph.initializer, graph.input):
        for one in [one for one in field if one.name == name]:
            field.remove(one)


class _Fitting:
    """One pass through a model: draws each weight, fits it, and runs its node."""

    def __init__(self, model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], seed: int) -> None:
        self._model, self._shapes = model, shapes
        self._random = np.random.default_rng(seed)
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self._uses = Counter(name for node in model.graph.node for name in node.input)
        self._readers = {name: node for node in reversed(model.graph.node) for name in node.input}
        self.weights: dict[str, Array] = {}

    def run(self, values: Values) -> dict[str, Array]:
        """Returns the fitted weights by name."""
        left = dict(self._uses)
        for node in self._model.graph.node:
            if node.output[0] in self._shapes:
                self.weights[node.output[0]] = self._draw(node.output[0])
                continue
            self._fit(node, values)
            values |= self._run_node(node, values)
            for name in node.input:
                left[name] -= 1
                if not left[name]:
                    values.pop(name, None)
        return self.weights

    def _draw(self, name: str) -> Array:
        """Returns about 1 for what multiplies a map, about 0 for what is added to it, else normal weights."""
        shape, reader = self._shapes[name], self._readers[name]
        while reader.op_type in ("Unsqueeze", "Reshape"):
            reader = self._readers[reader.output[0]]
        is_scale = reader.op_type == "Mul" or (reader.op_type == "BatchNormalization" and name == reader.input[1])
        if is_scale:
            return self._random.uniform(0.5, 1.5, shape).astype(np.float32)
        return (self._random.standard_normal(shape) * (1.0 if len(shape) > 1 else 0.2)).astype(np.float32)

    def _fit(self, node: onnx.NodeProto, values: Values) -> None:
        if node.op_type in _LAYERS and node.input[1] in self.weights:
            bias = node.input[2] if len(node.input) > 2 else ""
            if bias in self.weights:
                self.weights[bias] *= 0
            (outputs,) = self._run_node(node, values).values()
            mean, deviation = measure(torch.from_numpy(np.concatenate(outputs)), 1)
            self.weights[node.input[1]] /= np.float32(deviation)
            if bias in self.weights:
                drawn = self._random.standard_normal(self.weights[bias].shape) * 0.2
                self.weights[bias] = (drawn - mean.numpy() / deviation).astype(np.float32)
        elif node.op_type == "BatchNormalization" and node.input[3] in self.weights:
            mean, deviation = measure(torch.from_numpy(np.concatenate(values[node.input[0]])), 1)
            moved = mean.numpy() + 0.2 * deviation * self._random.standard_normal(mean.shape)
            spread = (deviation / NORM_DEVIATION) ** 2 * self._random.uniform(0.5, 1.5, mean.shape)
            self.weights[node.input[3]] = moved.astype(np.float32)
            self.weights[node.input[4]] = spread.astype(np.float32)

    def _run_node(self, node: onnx.NodeProto, values: Values) -> Values:
        known = {name: self._constants.get(name, self.weights.get(name)) for name in node.input}
        given = [name for name in dict.fromkeys(node.input) if name and known[name] is None]
        tensors = [numpy_helper.from_array(array, name) for name, array in known.items() if array is not None]
        inputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in given]
        outputs = [helper.make_empty_tensor_value_info(node.output[0])]
        graph = helper.make_graph([node], "one", inputs, outputs, tensors)
        one = helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=8)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        session = onnxruntime.InferenceSession(one.SerializeToString(), options, providers=["CPUExecutionProvider"])
        if not given:
            self._constants[node.output[0]] = session.run([node.output[0]], {})[0]
            return {}
        count = len(values[given[0]])
        runs = [session.run([node.output[0]], {name: values[name][at] for name in given})[0] for at in range(count)]
        return {node.output[0]: runs}
