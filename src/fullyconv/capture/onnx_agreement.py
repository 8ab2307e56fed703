"""Whether an ONNX model still gives the scores of its file after its operators were brought up to date."""

from __future__ import annotations

import numpy as np

from fullyconv.capture.onnx_model import OnnxModel, read_model
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.capture.onnx_trace import Trace, make_windows
from fullyconv.errors import ModelError

# Of the largest score: the same operations in the same order, in another version.
_SAME_RTOL = 1e-4


def check_update(source: OnnxModel, found: Trace) -> None:
    """Returns if the updated model gives the scores of the file as it is on random windows.

    Raises:
        ModelError: they differ.
    """
    session = OnnxSession(read_model(source.path), rewrites=False)
    shape = (source.batch or found.batch, *found.shapes[source.image][1:])
    windows = make_windows(source, shape)
    given = {name: np.asarray(value) for name, value in source.bound.items()}
    image = next(name for name in session.inputs if name not in given)
    own = session.run(given | {image: windows.transpose(0, 2, 3, 1) if source.was_channels_last else windows})
    updated = OnnxSession(source.model, rewrites=False).run({source.image: windows})
    for name, expected in own.items():
        difference = np.abs(updated[name].astype(np.float64) - expected).max(initial=0)
        if updated[name].shape != expected.shape or not difference <= _SAME_RTOL * np.abs(expected).max(initial=1e-30):
            raise ModelError(
                f"{source.path}: output {name} is another one after the update to current operators; export the model "
                "anew with opset 18 or newer"
            )
