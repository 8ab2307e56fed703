"""A dense ONNX network run by OpenVINO in float32 instead of onnxruntime."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from fullyconv.rewrite.onnx_module import OnnxModule

Array = NDArray[Any]


class OpenVinoSession:
    """An ONNX model that OpenVINO runs; used as `OnnxSession` is."""

    def __init__(self, model: ir.Model, extra_outputs: Sequence[str] = ()) -> None:
        import openvino

        proto = ir.to_proto(model)
        known = {value.name for value in proto.graph.output}
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in extra_outputs if name not in known)
        core = openvino.Core()
        read = core.read_model(proto.SerializeToString())
        # Without the hint it computes in bfloat16 where the processor has instructions for that.
        self._compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        self.inputs = tuple(value.name for value in proto.graph.input)
        self.outputs = tuple(value.name for value in proto.graph.output)

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> dict[str, Array]:
        """Returns outputs by name."""
        wanted = list(self.outputs if names is None else names)
        found = self._compiled({name: np.ascontiguousarray(inputs[name]) for name in self.inputs})
        return {name: found[self._compiled.output(name)].copy() for name in wanted}


def run_by_openvino(module: OnnxModule) -> OnnxModule:
    """Returns the same network, its models run by OpenVINO."""
    other = copy.copy(module)
    other._session = OpenVinoSession(module.model, list(module.program.names.values()))  # type: ignore[assignment]
    if module.head_model is not None:
        other._head = OpenVinoSession(module.head_model)  # type: ignore[assignment]
    return other
