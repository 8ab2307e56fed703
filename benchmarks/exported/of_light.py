"""The architectures that come with the package onnx, of Caffe's time; their weights are made here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from exported.case import Export, Exported

SUITE = "light"

_NAMES = (
    *("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet"),
    *("vgg19", "zfnet512"),
)

# To fit weights to; these files take one image at a time.
_IMAGES = 4


def list_cases() -> Iterator[Export]:
    """Yields all nine."""
    for name in _NAMES:
        yield Export(SUITE, name, partial(_make, name))


def _make(name: str, folder: Path) -> Exported:
    import onnx
    from trial import draw_images

    from exported.onnx_weights import fill_weights

    spec = find_spec("onnx")
    assert spec is not None and spec.origin is not None  # it was imported just now
    model = onnx.load(Path(spec.origin).parent / "backend/test/data/light" / f"light_{name}.onnx")
    image = next(value.name for value in model.graph.input if len(value.type.tensor_type.shape.dim) == 4)
    images = [one[None].numpy() for one in draw_images(3, (224, 224), 0)[:_IMAGES]]
    path = folder / f"{name}.onnx"
    onnx.save(fill_weights(model, image, images, 0), path)
    return Exported(path, f"Caffe2, IR {model.ir_version}, opset {model.opset_import[0].version}")
