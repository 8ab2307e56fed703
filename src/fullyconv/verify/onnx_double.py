"""ONNX networks in float64, which onnxruntime and OpenVINO do not convolve in: by onnx's own reference implementation.

It is slow and obvious, and is believed only where it agrees with onnxruntime up to float32's rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor

from fullyconv.capture.onnx_lending import lend_weights
from fullyconv.capture.onnx_model import measure_weights
from fullyconv.capture.onnx_session import Array
from fullyconv.capture.onnx_widening import widen_model
from fullyconv.errors import CaptureError
from fullyconv.rewrite.onnx_module import OnnxModule
from fullyconv.runtime.runner import Session
from fullyconv.verify.comparison import measure_relative
from fullyconv.verify.double_operators import OPERATORS

# In float64 the weights of the file and those of the network are there as well: four times this, and the file itself.
# What larger networks, VGG19 say, take to be run so is minutes.
MOST_BYTES = 400_000_000

# Far above the rounding of float32, and far below what an operator makes that is understood in another way.
_AGREES = 1e-3

# What is made of windows is kept until all is done, so few of them run together.
_WINDOWS_BYTES = 4_000_000


class DoubleSession:
    """A model whose numbers are in float64, ready to run.

    Attributes:
        inputs: the names of its inputs.
        outputs: the names of its outputs.
    """

    def __init__(self, model: ir.Model, *, extra_outputs: Sequence[str] = ()) -> None:
        """Opens a model in float64, which is not changed.

        Raises:
            CaptureError: it has an operator without a reference implementation.
        """
        lent = lend_weights(model, extra_outputs)
        proto = onnx.load_model_from_string(lent.content)
        small = [tensor for tensor in proto.graph.initializer if tensor.name not in lent.arrays]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(small)
        self._weights = lent.arrays
        self.inputs = tuple(value.name for value in proto.graph.input if value.name not in lent.arrays)
        self.outputs = lent.outputs
        try:
            self._evaluator = ReferenceEvaluator(proto, new_ops=list(OPERATORS))
        except Exception as error:  # it raises what it happens to meet
            raise CaptureError(f"onnx's reference implementation cannot load the model: {_describe(error)}") from None

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> dict[str, Array]:
        """Returns outputs by name, all where `names` is None.

        Raises:
            CaptureError: it cannot run on these inputs.
        """
        wanted = list(self.outputs if names is None else names)
        try:
            values = self._evaluator.run(wanted, {**self._weights, **inputs})
        except Exception as error:  # as above
            raise CaptureError(f"onnx's reference implementation cannot run the model: {_describe(error)}") from None
        return dict(zip(wanted, values, strict=True))


class ImageByImage:
    """A model of images in float64, of which one at a time runs, because all that is made on the way is kept."""

    def __init__(self, model: ir.Model, *, extra_outputs: Sequence[str] = ()) -> None:
        """Opens a model whose images do not depend on each other; it is not changed.

        Raises:
            CaptureError: it has an operator without a reference implementation.
        """
        self._session = DoubleSession(model, extra_outputs=extra_outputs)
        self.inputs, self.outputs = self._session.inputs, self._session.outputs

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> dict[str, Array]:
        """Returns outputs by name, all where `names` is None.

        Raises:
            CaptureError: it cannot run on these inputs.
        """
        ((name, images),) = inputs.items()
        made = [self._session.run({name: images[place : place + 1]}, names) for place in range(len(images))]
        return {output: np.concatenate([values[output] for values in made]) for output in made[0]}


def widen_network(module: OnnxModule) -> OnnxModule:
    """Returns a dense network with all its numbers in float64.

    Raises:
        CaptureError: it is too large for that, or has an operator without a reference implementation.
    """
    models = [model for model in (module.model, module.head_model) if model is not None]
    require_small(models)
    shared, *heads = [widen_model(model, "float64") for model in models]
    return open_widened(module, shared, *heads)


def open_widened(module: OnnxModule, shared: ir.Model, head: ir.Model | None = None) -> OnnxModule:
    """Returns a dense network with its models in float64, ready to run.

    Raises:
        CaptureError: they have an operator without a reference implementation.
    """

    def open_session(model: ir.Model, *, extra_outputs: Sequence[str] = ()) -> Session:
        kind = ImageByImage if model is shared else DoubleSession
        return kind(model, extra_outputs=extra_outputs)

    widened = OnnxModule(replace(module.program, dtype="float64"), shared, head, open_session)
    widened.memory_bytes = min(module.memory_bytes, _WINDOWS_BYTES)
    return widened.with_border(module.program.border)


def require_small(models: Sequence[ir.Model]) -> None:
    """Returns if models take little enough memory in float64.

    Raises:
        CaptureError: they do not.
    """
    held = sum(measure_weights(model) for model in models)
    if held > MOST_BYTES:
        raise CaptureError(
            f"in float64 an ONNX network takes time and memory: expected weights of at most {MOST_BYTES / 1e9:.1f} GB, "
            f"got {held / 1e9:.1f} GB"
        )


def require_agreement(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Returns if values in float64 are those that onnxruntime computes in float32, up to rounding.

    Raises:
        CaptureError: they are not, or not in float64: then the operators are not those that onnxruntime has.
    """
    for name, values in expected.items():
        if not values.is_floating_point():
            continue
        error = measure_relative(found[name], values.double())
        if found[name].dtype != torch.float64 or not error <= _AGREES:
            raise CaptureError(
                f"{name}: onnx's reference implementation gives {found[name].dtype} that differ by {error:.0e} from "
                "what onnxruntime gives in float32, so they say nothing"
            )


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
