"""How much the scores of an ONNX network move because computed weights are kept in the file's own number type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from fullyconv.capture.onnx_model import OnnxModel
from fullyconv.capture.onnx_session import Array
from fullyconv.capture.onnx_widening import widen_model
from fullyconv.errors import CaptureError
from fullyconv.rewrite.onnx_module import OnnxModule
from fullyconv.verify.onnx_double import open_widened, widen_network
from fullyconv.verify.rounding import Rounding, find_other_values, measure_changes


def find_computed_onnx(dense: OnnxModule, source: OnnxModel) -> tuple[str, ...]:
    """Returns the names of floating weights of `dense` whose values are not those of a weight of the file."""
    weights = (weight for model in _list_models(dense) for weight in _list_weights(model))
    rounded = ((name, tensor) for name, tensor in weights if tensor.dtype != torch.float64 and not _is_whole(tensor))
    return find_other_values(rounded, (tensor for _, tensor in _list_weights(source.model)))


def measure_onnx_rounding(dense: OnnxModule, computed: Sequence[str], images: Tensor, seed: int) -> Rounding:
    """Returns the relative change of scores and logits when each computed weight moves by half a unit.

    Args:
        dense: the converted network, in the number type that its weights are kept in.
        computed: names of its computed weights.
        images: `(N, C, H, W)`.
        seed: of the directions in which they move.
    """
    if not computed or dense.program.dtype == "float64":  # whose rounding is far below any tolerance
        return {}
    try:
        exact = widen_network(dense)
    except CaptureError:
        return {}  # then nothing is compared in float64

    rng = np.random.default_rng(seed)

    def move() -> OnnxModule:
        models = [_move(model, computed, rng) for model in _list_models(dense)]
        return open_widened(dense, *models)

    return measure_changes(exact, move, images)


def _list_models(dense: OnnxModule) -> list[ir.Model]:
    return [model for model in (dense.model, dense.head_model) if model is not None]


def _list_weights(model: ir.Model) -> Iterator[tuple[str, Tensor]]:
    """Yields the weights that torch has a number type for."""
    for name, value in model.graph.initializers.items():
        if value.const_value is not None and value.const_value.dtype.is_floating_point():
            yield name, torch.from_numpy(np.array(value.const_value.numpy()))


def _is_whole(tensor: Tensor) -> bool:
    """Returns whether all values are whole numbers, which nothing rounded."""
    return torch.equal(tensor, tensor.round())


def _move(model: ir.Model, computed: Sequence[str], rng: np.random.Generator) -> ir.Model:
    """Returns a copy in float64 with each value of the computed weights half a unit up or down."""
    moved = widen_model(model, "float64")
    for name in computed:
        value = moved.graph.initializers.get(name)
        if value is not None and value.const_value is not None:
            array = value.const_value.numpy()
            signs = rng.integers(0, 2, array.shape) * 2 - 1
            value.const_value = ir.tensor(array * (1 + signs * _find_unit(array) / 2), name=name)
    return moved


def _find_unit(values: Array) -> float:
    """Returns the unit of the number type that values were rounded to; float16 in files that were widened."""
    with np.errstate(over="ignore"):
        is_half = bool(np.all(values.astype(np.float16) == values))
    return float(np.finfo(np.float16 if is_half else np.float32).eps)
