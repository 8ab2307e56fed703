"""Runs an ONNX model with onnxruntime, without the rewritings of it that change scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from fullyconv.capture.onnx_lending import lend_weights
from fullyconv.capture.onnx_model import LARGEST_IN_MEMORY, measure_weights
from fullyconv.capture.onnx_writing import writing_model
from fullyconv.errors import CaptureError, ModelError, require_extra

if TYPE_CHECKING:
    import onnx_ir as ir

Array = NDArray[Any]

# A number and a name of the kind of error; where in onnxruntime's own source it was found, with the function there.
_NOISE = (
    re.compile(r"^\d+ : \w+ : "),
    re.compile(r"/\S+?\.(?:h|hpp|cc|cpp):\d+ "),
    re.compile(r"(?:\w+ )?onnxruntime::.*?\)\s+(?:\[with .*?\]\s+)?(?=[A-Z])"),
)

_DOUBLE = "; it has few operators for float64, in which this model is: make it one in float32"

# It merges a padding with zeros into a max pool that follows, which pads with minus infinity.
_WRONG_REWRITINGS = ["Pad_Fusion"]

# It puts a convolution's weights in another order into a protocol buffer, which holds less than 2 GiB.
_SMALL_REWRITINGS = ["NchwcTransformer"]
_LARGEST_REWRITTEN = 2**31 - 1

# Only what makes a model unusable; onnxruntime also tells of outputs whose stated shapes are those of one batch size.
_FATAL = 4


class OnnxSession:
    """An ONNX model, ready to run.

    Attributes:
        inputs: the names of its inputs.
        outputs: the names of its outputs.
    """

    def __init__(
        self, model: ir.Model, *, extra_outputs: Sequence[str] = (), rewrites: bool = True, device: str = "cpu"
    ) -> None:
        """Opens a model, which is not changed.

        Args:
            model: the model.
            extra_outputs: values of its graph that are to be outputs too.
            rewrites: whether onnxruntime may fuse operations.
            device: "cpu", "cuda" or "cuda:N".

        Raises:
            CaptureError: onnxruntime cannot load it; carries its message.
            ModelError: this build of onnxruntime has no CUDA.
        """
        runtime = require_extra("onnxruntime", "onnx")
        options = runtime.SessionOptions()
        options.log_severity_level = _FATAL
        options.intra_op_num_threads = torch.get_num_threads()
        if not rewrites:
            _spare(runtime, options)
        try:
            self._session = _open(runtime, model, extra_outputs, options, device)
        except ModelError:
            raise
        except Exception as error:  # onnxruntime's exceptions have no base but this
            hint = _DOUBLE if "double" in {_name_type(value) for value in model.graph.inputs} else ""
            raise CaptureError(f"onnxruntime cannot load the model: {describe_failure(error)}{hint}") from None
        if device != "cpu" and self._session.get_providers()[0] != "CUDAExecutionProvider":  # it falls back silently
            raise ModelError(f"onnxruntime cannot run on {device}: the libraries of CUDA that it needs are not there")
        self.inputs = tuple(value.name for value in self._session.get_inputs())
        self.outputs = tuple(value.name for value in self._session.get_outputs())

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> dict[str, Array]:
        """Returns outputs by name.

        Args:
            inputs: an array for each input.
            names: of the outputs, all where None.

        Raises:
            CaptureError: the model cannot run on these inputs; carries onnxruntime's message.
        """
        wanted = list(self.outputs if names is None else names)
        if not wanted:  # which to onnxruntime would mean all
            return {}
        try:
            values = self._session.run(wanted, {name: np.ascontiguousarray(inputs[name]) for name in self.inputs})
        except Exception as error:  # as above
            raise CaptureError(f"onnxruntime cannot run the model: {describe_failure(error)}") from None
        return dict(zip(wanted, values, strict=True))


def describe_failure(error: Exception) -> str:
    """Returns what onnxruntime says, in one line, without the code before it and the source places within."""
    said = " ".join(str(error).rpartition("[ONNXRuntimeError] : ")[2].split())
    for noise in _NOISE:
        said = noise.sub("", said)
    return said[:400]


def _name_type(value: ir.Value) -> str:
    return "" if value.dtype is None else value.dtype.name.lower()


def _open(runtime: Any, model: ir.Model, extra_outputs: Sequence[str], options: Any, device: str) -> Any:
    keywords = {"providers": _choose_providers(runtime, device), "disabled_optimizers": choose_disabled(model)}
    if measure_weights(model) >= LARGEST_IN_MEMORY:  # its weights are mapped from a file already
        with writing_model(model, extra_outputs, most_bytes=LARGEST_IN_MEMORY) as written:
            return runtime.InferenceSession(written.content, options, **keywords)
    lent = lend_weights(model, extra_outputs)
    values = [runtime.OrtValue.ortvalue_from_numpy(array) for array in lent.arrays.values()]
    options.add_external_initializers(list(lent.arrays), values)
    return runtime.InferenceSession(lent.content, options, **keywords)


def choose_disabled(model: ir.Model) -> list[str]:
    """Returns the rewritings that onnxruntime must not make of a model."""
    tensors = [value.const_value for value in model.graph.initializers.values() if value.const_value is not None]
    is_large = any(tensor.nbytes > _LARGEST_REWRITTEN for tensor in tensors)
    return [*_WRONG_REWRITINGS, *_SMALL_REWRITINGS] if is_large else _WRONG_REWRITINGS


def _spare(runtime: Any, options: Any) -> None:
    """Has nodes run as they stand, and takes no memory ahead for a session that runs a few times only."""
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.enable_cpu_mem_arena = False


def _choose_providers(runtime: Any, device: str) -> list[Any]:
    """Returns who computes; on a graphics card with all bits of float32."""
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in runtime.get_available_providers():
        raise ModelError(f"onnxruntime cannot run on {device}: this build of it has no CUDA; see onnxruntime-gpu")
    number = int(device.partition(":")[2] or 0)
    return [("CUDAExecutionProvider", {"device_id": number, "use_tf32": 0}), "CPUExecutionProvider"]
