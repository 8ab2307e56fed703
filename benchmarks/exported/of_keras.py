"""Networks of keras.applications, written by `model.export(format="onnx")` from two backends, and by tf2onnx."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from apart import Limits, run_apart

from exported.case import Export, Exported

_NAMES = {
    "VGG16": 64,
    "ResNet50": 96,
    "ResNet50V2": 96,
    "MobileNet": 96,
    "MobileNetV2": 96,
    "MobileNetV3Small": 96,
    "DenseNet121": 96,
    "InceptionV3": 139,
    "Xception": 139,
    "EfficientNetB0": 96,
    "NASNetMobile": 96,
    "ConvNeXtTiny": 96,
}

# Their own preprocessing makes values of 0 to 255 small; of the images here, it would leave next to nothing. That of
# EfficientNetB0 cannot be left out: its scaling is set to 1.
_PREPROCESSING = {
    "MobileNetV3Small": {"include_preprocessing": False},
    "ConvNeXtTiny": {"include_preprocessing": False},
}

# The export from TensorFlow takes up to 10 GB and gives nothing back, so files are written by a process of their own.
_LIMITS = Limits(600, 12_000_000_000)

_ROUTES = {"keras, tensorflow": "tensorflow", "keras, torch": "torch", "tf2onnx": "tensorflow"}
_TF2ONNX = ("VGG16", "MobileNetV2", "ResNet50")
_OPSET = 17


def list_cases() -> Iterator[Export]:
    """Yields each network for each backend, and some again by tf2onnx itself."""
    for suite in _ROUTES:
        for name in _TF2ONNX if suite == "tf2onnx" else _NAMES:
            yield Export(suite, name, partial(_make, suite, name))


def start_keras(backend: str) -> Any:
    """Returns keras with a backend; only the first of a process counts."""
    os.environ |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    import keras

    return keras


def write_keras(model: Any, path: Path) -> str:
    """Writes a model as Keras does, with an open batch, and returns what wrote it."""
    import keras

    model(np.zeros((1, *model.input_shape[1:]), np.float32))  # one that was loaded and never run is refused
    model.export(str(path), format="onnx", verbose=False)
    return f"keras {keras.__version__} on {keras.backend.backend()}"


def _make(suite: str, name: str, folder: Path) -> Exported:
    path = folder / f"{name}.onnx"
    made = run_apart(partial(_write, suite, name, path), _LIMITS)
    if "exporter" not in made:
        raise ValueError(made["message"])
    return Exported(path, made["exporter"])


def _write(suite: str, name: str, path: Path) -> dict[str, str]:
    try:
        return {"exporter": _write_network(suite, name, path)}
    except Exception as error:
        return {"message": f"{type(error).__name__}: {error}"[:400]}


def _write_network(suite: str, name: str, path: Path) -> str:
    keras = start_keras(_ROUTES[suite])
    from trial import draw_images

    from exported.keras_weights import randomise_keras

    keras.utils.set_random_seed(0)
    size = _NAMES[name]
    window = (size, size + 32)  # so that rows and columns do not stand for each other
    shape = {"input_shape": (*window, 3), "weights": None, "classifier_activation": "softmax"}
    model = getattr(keras.applications, name)(**shape, **_PREPROCESSING.get(name, {}))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Rescaling):
            layer.scale = 1.0
    images = draw_images(3, window, 0)[:8].permute(0, 2, 3, 1).numpy()
    randomise_keras(model, images, 0)
    return _write_tf2onnx(model, path) if suite == "tf2onnx" else write_keras(model, path)


def _write_tf2onnx(model: Any, path: Path) -> str:
    import tensorflow
    import tf2onnx

    shape = tensorflow.TensorSpec((None, *model.input_shape[1:]), tensorflow.float32, name="image")
    function = tensorflow.function(lambda image: model(image, training=False), input_signature=[shape])
    tf2onnx.convert.from_function(function, input_signature=[shape], opset=_OPSET, output_path=str(path))
    return f"tf2onnx {tf2onnx.__version__}, opset {_OPSET}"
