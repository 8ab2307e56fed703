"""Runs an ONNX model with OpenVINO, in the arithmetic that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
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

# Sizes of images come and go; what was compiled for them has a copy of the weights.
_MOST_COMPILED = 8

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
        self._compiled: dict[tuple[tuple[str, ...], str], Any] = {}
        self._closed: set[tuple[str, ...]] = set()

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
        given = {name: np.ascontiguousarray(inputs[name]) for name in self.inputs}
        values = self._run(wanted, given)
        return {name: values[place] for place, name in enumerate(wanted)}

    def _run(self, names: tuple[str, ...], inputs: Mapping[str, Array]) -> Any:
        """Returns the values; of a model that OpenVINO cannot run with open sizes, by one compiled for these sizes."""
        sizes = None if names not in self._closed else {name: list(array.shape) for name, array in inputs.items()}
        try:
            return self._compile(names, sizes)(inputs)
        except Exception as error:  # as above
            if sizes is None:
                self._closed.add(names)
                with suppress(CaptureError):
                    return self._run(names, inputs)
                self._closed.discard(names)
            raise CaptureError(f"openvino cannot run the model: {_describe(error)}") from None

    def _compile(self, names: tuple[str, ...], sizes: dict[str, list[int]] | None) -> Any:
        """Returns the model for these outputs alone: OpenVINO would compute and copy all that there are."""
        key = (names, repr(sizes))
        if key not in self._compiled:
            model = self._model.clone()
            results = [model.outputs[self.outputs.index(name)].get_node() for name in names]
            part = self._model_class(results, model.get_parameters(), "part")
            if sizes is not None:
                part.reshape(sizes)
            while len(self._compiled) >= _MOST_COMPILED:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[key] = self._core.compile_model(part, "CPU", self._options)
        return self._compiled[key]


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
