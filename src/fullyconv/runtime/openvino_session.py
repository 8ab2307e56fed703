"""Runs an ONNX model with OpenVINO, in the arithmetic that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fullyconv.capture.onnx_session import Array, writing_model
from fullyconv.errors import CaptureError, ModelError, require_extra
from fullyconv.runtime.openvino_gathers import lift_gathers
from fullyconv.runtime.specification import Runtime

if TYPE_CHECKING:
    import onnx_ir as ir

# OpenVINO's own names: of a number type, and of a processor's being able to compute in it.
_ARITHMETIC = {"": ("f32", "FP32"), "bfloat16": ("bf16", "BF16"), "float16": ("f16", "FP16")}

# How those lines of OpenVINO's messages begin that say nothing to a user.
_NOISE = ("Exception from ", "Check '", "FrontEnd API failed", "Summary:", "To facilitate ")


class OpenVinoSession:
    """An ONNX model, ready to run.

    Attributes:
        inputs: the names of its inputs.
        outputs: the names of its outputs.
    """

    def __init__(self, model: ir.Model, runtime: Runtime, *, extra_outputs: Sequence[str] = ()) -> None:
        """Opens a model, which is not changed.

        Args:
            model: the model.
            runtime: its arithmetic; OpenVINO by itself takes bfloat16 wherever the processor has it.
            extra_outputs: values of its graph that are to be outputs too.

        Raises:
            CaptureError: OpenVINO cannot load it; carries its message.
            MissingExtraError: openvino is not installed.
            ModelError: the device is no CPU, or the arithmetic is none of this processor's.
        """
        openvino = require_extra("openvino", "openvino")
        self._core = openvino.Core()
        self._options = _choose_options(self._core, runtime)
        self._model_class = openvino.Model
        with writing_model(model, extra_outputs, change=lift_gathers) as written:
            self.outputs = written.outputs
            try:
                self._model = self._core.read_model(written.content)
            except Exception as error:  # OpenVINO's exceptions have no base but this
                raise CaptureError(f"openvino cannot load the model: {_describe(error)}") from None
        self.inputs = tuple(value.get_any_name() for value in self._model.inputs)
        self._compiled: dict[tuple[str, ...], Any] = {}

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> dict[str, Array]:
        """Returns outputs by name.

        Args:
            inputs: an array for each input.
            names: of the outputs, all where None.

        Raises:
            CaptureError: the model cannot run on these inputs; carries OpenVINO's message.
        """
        wanted = tuple(self.outputs if names is None else names)
        if not wanted:
            return {}
        try:
            values = self._compile(wanted)({name: np.ascontiguousarray(inputs[name]) for name in self.inputs})
        except Exception as error:  # as above
            raise CaptureError(f"openvino cannot run the model: {_describe(error)}") from None
        return {name: values[place] for place, name in enumerate(wanted)}

    def _compile(self, names: tuple[str, ...]) -> Any:
        """Returns the model for these outputs alone: OpenVINO would compute and copy all that there are."""
        if names not in self._compiled:
            results = [self._model.outputs[self.outputs.index(name)].get_node() for name in names]
            part = self._model_class(results, self._model.get_parameters(), "part")
            self._compiled[names] = self._core.compile_model(part, "CPU", self._options)
        return self._compiled[names]


def _choose_options(core: Any, runtime: Runtime) -> dict[str, Any]:
    """Returns how OpenVINO is to compute.

    Without the arithmetic it takes bfloat16 on processors that have it; "ACCURACY" forbids other shortcuts too.
    """
    if runtime.device != "cpu":
        raise ModelError(f"openvino runs on the CPU here, not on {runtime.device}")
    arithmetic, capability = _ARITHMETIC[runtime.arithmetic]
    if capability not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ModelError(f"openvino cannot compute in {runtime.arithmetic} on this processor")
    return {
        "INFERENCE_PRECISION_HINT": arithmetic,
        "EXECUTION_MODE_HINT": "ACCURACY" if runtime.is_exact else "PERFORMANCE",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }


def _describe(error: Exception) -> str:
    """Returns what OpenVINO says, in one line, without places in its sources and advice to its developers."""
    lines = [line.strip(" -") for line in str(error).splitlines() if not line.startswith(_NOISE)]
    return " ".join(line for line in lines if line)[:400] or type(error).__name__
