"""Whether an ONNX model still gives the scores of its file after its operators were brought up to date."""

from __future__ import annotations

import numpy as np

from fullyconv.capture.onnx_model import OnnxModel, read_model
from fullyconv.capture.onnx_session import Array, OnnxSession
from fullyconv.capture.onnx_trace import Trace, make_windows
from fullyconv.errors import ModelError

# Of the largest score: the same operations in the same order, in another version.
_SAME_RTOL = 1e-4


def check_update(source: OnnxModel, found: Trace) -> None:
    """Returns if the updated model gives the scores of the file as it is on random windows.

    Raises:
        ModelError: they differ.
    """
    windows = make_windows(source, (source.batch or found.batch, *found.shapes[source.image][1:]))
    own = _run_file(source, windows)
    updated = OnnxSession(source.model, rewrites=False).run({source.image: windows})
    for name, expected in own.items():
        difference = np.abs(updated[name].astype(np.float64) - expected).max(initial=0)
        if updated[name].shape != expected.shape or not difference <= _SAME_RTOL * np.abs(expected).max(initial=1e-30):
            raise ModelError(
                f"{source.path}: output {name} is another one after the update to current operators; export the model "
                "anew with opset 18 or newer"
            )


def _run_file(source: OnnxModel, windows: Array) -> dict[str, Array]:
    """Returns what the file as it is gives for `(B, C, h, w)`; nothing of it stays in memory."""
    model = read_model(source.path)
    session = OnnxSession(model, rewrites=False)
    for weight in model.graph.initializers.values():
        weight.const_value = None  # a graph is a ring of references: it stays until those are collected
    given = {name: np.asarray(value) for name, value in source.bound.items()}
    image = next(name for name in session.inputs if name not in given)
    return session.run(given | {image: windows.transpose(0, 2, 3, 1) if source.was_channels_last else windows})
