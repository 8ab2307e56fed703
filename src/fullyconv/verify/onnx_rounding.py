"""How far the scores of an ONNX network are from what they would be without rounding, as far as it shows in float32.

onnxruntime convolves in no wider number type, so there is no float64 run to compare with, as there is for torch.
Instead each weight moves by one unit in its last place: what the scores make of that they make of the rounding of
sums too. For most networks it is far below the tolerance. Where logits are large it is not: of an error of 1e-5 in a
logit of 100, which is one unit in 1e7, a softmax makes one of up to 1e-5 in a score.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from fullyconv.capture.onnx_model import OnnxModel, measure_weights
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.verify.answer import Answer
from fullyconv.verify.comparison import measure_relative
from fullyconv.verify.onnx_original import OnnxOriginal
from fullyconv.verify.rounding import Rounding

# The largest of a few random ways is what to expect of the one way that rounding went.
_DIRECTIONS = 4

# Larger networks would be copied at length for what their tolerance hardly ever needs.
_MOST_BYTES = 400_000_000


def measure_onnx_rounding(source: OnnxModel, windows: Tensor, seed: int) -> Rounding:
    """Returns the relative change of the original's scores and logits when each weight moves by one unit.

    Args:
        source: the original, in float32.
        windows: `(B, C, h, w)`.
        seed: of the directions in which they move.
    """
    if measure_weights(source.model) > _MOST_BYTES:
        return {}
    original = OnnxOriginal(source, windows, getattr(torch, source.dtype))
    before, rng = original.answer(original.window), np.random.default_rng(seed)
    shown = [name for name in original.logits.values() if name]
    changes: Rounding = {}
    for _ in range(_DIRECTIONS):
        session = OnnxSession(_move(source.model, rng), extra_outputs=shown)
        for name, answer in original.collect(session, {source.image: original.window}).items():
            for quantity, change in _compare(answer, before[name]).items():
                changes[name, quantity] = max(changes.get((name, quantity), 0.0), change)
    return changes


def _compare(after: Answer, before: Answer) -> dict[str, float]:
    pairs = {"scores": (after.scores, before.scores)}
    if after.logits is not None and before.logits is not None:
        pairs["logits"] = after.logits, before.logits
    found = {quantity: measure_relative(*pair) for quantity, pair in pairs.items() if pair[0].is_floating_point()}
    return {quantity: change for quantity, change in found.items() if np.isfinite(change)}


def _move(model: ir.Model, rng: np.random.Generator) -> ir.Model:
    """Returns a copy with each value of the weights one unit up or down."""
    copy = ir.Model(model.graph.clone(), ir_version=model.ir_version)
    for name, value in copy.graph.initializers.items():
        tensor = value.const_value
        if tensor is not None and tensor.dtype == ir.DataType.FLOAT:
            array = tensor.numpy()
            ways = np.where(rng.integers(0, 2, array.shape), np.inf, -np.inf).astype(np.float32)
            moved = np.where(np.isfinite(array), np.nextafter(array, ways), array)
            value.const_value = ir.tensor(np.asarray(moved, np.float32).reshape(array.shape), name=name)
    return copy
