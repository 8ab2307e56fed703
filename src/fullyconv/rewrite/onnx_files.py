"""Dense ONNX networks on disk: any runtime can run the file; the grid, the card and the report lie inside.

A network with a windowed head is two files and a manifest: `x.onnx` makes the maps, `x.head.onnx` the scores of
windows cut from them, and `x.json` says where they are cut. `fullyconv.load("x.onnx")` needs the first two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fullyconv.analyze.plan import FeatureMap
from fullyconv.atomic import write_whole
from fullyconv.capture.onnx_model import LARGEST_IN_MEMORY, measure_weights, read_model
from fullyconv.card import ModelCard
from fullyconv.errors import CaptureError, ModelError, require_extra
from fullyconv.grid import Grid
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.json_values import dump_value, load_value
from fullyconv.rewrite.program import OnnxProgram
from fullyconv.rewrite.report import ConversionReport

if TYPE_CHECKING:
    import onnx_ir as ir

    from fullyconv.rewrite.onnx_module import OnnxModule

FORMAT = 2

_PARTS = {
    "grid": Grid,
    "card": ModelCard,
    "report": ConversionReport,
    "feature_maps": tuple[FeatureMap, ...],
    "margins_px": tuple[tuple[int, int], tuple[int, int]],
    "program": OnnxProgram,
}


def save_onnx(dense: DenseModel, module: OnnxModule, path: Path) -> None:
    """Writes a dense ONNX network; a file of the three that cannot be written leaves those before it.

    Raises:
        OutputError: a file cannot be written.
    """
    program = module.with_border("image").program
    values = {
        "grid": dense.grid,
        "card": dense.card,
        "report": dense.image_report,
        "feature_maps": dense.feature_maps,
        "margins_px": dense.image_margins_px,
        "program": program,
    }
    described = {name: dump_value(kind, values[name]) for name, kind in _PARTS.items()}
    described["format"] = FORMAT
    if module.head_model is not None:
        described["head"] = name_head(path).name
        _write(module.head_model, name_head(path), {})
        with write_whole(path.with_suffix(".json")) as part:
            part.write_text(json.dumps(described, indent=1), encoding="utf-8")
    _write(module.model, path, {f"fullyconv.{name}": json.dumps(value) for name, value in described.items()})


def name_head(path: Path) -> Path:
    """Returns the file of the windowed head that belongs to a file of the shared part."""
    return path.with_name(f"{path.stem}.head.onnx")


def load_onnx_dense(path: Path) -> DenseModel:
    """Returns the dense network of a file, and of the head beside it where it has one.

    Raises:
        MissingExtraError: onnx, onnx-ir or onnxruntime is not installed.
        ModelError: there is no such file, it is no dense network, or it is damaged.
    """
    for name in ("onnx", "onnx_ir", "onnxruntime"):
        require_extra(name, "onnx")
    model = read_model(path)
    data = {name.removeprefix("fullyconv."): text for name, text in model.metadata_props.items()
            if name.startswith("fullyconv.")}  # fmt: skip
    if "format" not in data:
        raise ModelError(
            f"{path}: expected a dense network, got a classifier; convert it first: fullyconv convert {path}"
        )
    try:
        return _build(path, model, {name: json.loads(text) for name, text in data.items()})
    except (ValidationError, ValueError, KeyError, TypeError, CaptureError) as error:
        raise ModelError(f"{path}: the dense network inside is damaged ({type(error).__name__}: {error})") from None


def _build(path: Path, model: ir.Model, data: dict[str, Any]) -> DenseModel:
    from fullyconv.rewrite.onnx_module import OnnxModule

    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, this version reads {FORMAT}; convert the classifier again")
    values = {name: load_value(kind, data[name]) for name, kind in _PARTS.items()}
    head = read_model(path.with_name(data["head"])) if "head" in data else None
    module = OnnxModule(values["program"], model, head)
    dense = DenseModel(
        values["grid"], values["card"], values["report"], module, values["margins_px"], values["feature_maps"]
    )
    return dense.with_border(dense.card.border)


def _write(model: ir.Model, path: Path, metadata: dict[str, str]) -> None:
    import onnx_ir as ir

    known = dict(model.metadata_props)
    model.metadata_props.update(metadata)
    is_large = measure_weights(model) >= LARGEST_IN_MEMORY
    try:
        with write_whole(path) as part:
            ir.save(model, part, external_data=f"{path.name}.data" if is_large else None)
    finally:
        model.metadata_props.clear()
        model.metadata_props.update(known)
