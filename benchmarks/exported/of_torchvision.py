"""Networks of torchvision, written by both of torch's exporters; the same network in PyTorch is compared."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from classifiers import of_torchvision

from exported.case import Export, Exported

_NAMES = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "mobilenet_v2", "mobilenet_v3_small"),
    *("regnet_y_400mf", "resnet18", "shufflenet_v2_x1_0", "squeezenet1_1", "swin_t", "vgg11_bn"),
)

# The tracing exporter knows adaptive pools only where they divide the map.
_WINDOWS = {"alexnet": (224, 224), "vgg11_bn": (224, 224)}


def list_cases() -> Iterator[Export]:
    """Yields each network twice: written by the exporter that traces, and by the one that uses torch.export."""
    for dynamo in (False, True):
        for name in _NAMES:
            yield Export("torchvision, dynamo" if dynamo else "torchvision, traced", name, partial(_make, name, dynamo))


def _make(name: str, dynamo: bool, folder: Path) -> Exported:
    from classifiers.weights import randomise
    from trial import draw_images

    classifier = of_torchvision.make(name)
    window = _WINDOWS.get(name, classifier.window)
    randomise(classifier.module, draw_images(3, window, 0), 0)
    path = folder / f"{name}.onnx"
    image = torch.zeros(1, 3, *window)
    # One way or the other, as people do: an open batch by the older exporter, none by the newer.
    open_batch = {"input_names": ["image"], "dynamic_axes": {"image": {0: "batch"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the age of the older exporter
        torch.onnx.export(
            classifier.module, (image,), path, dynamo=dynamo, verbose=False, **({} if dynamo else open_batch)
        )
    exporter = f"torch.onnx.export(dynamo={dynamo}), torch {torch.__version__.partition('+')[0]}"
    return Exported(path, exporter, module=classifier.module)
