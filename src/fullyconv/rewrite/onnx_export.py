"""Any dense network -> an ONNX file: one that came from PyTorch is exported at window size and made dense again."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fullyconv.capture.export import first_line, silence
from fullyconv.capture.module import copy_module, read_dtype
from fullyconv.errors import CaptureError, ModelError, require_extra
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.onnx_files import save_onnx

if TYPE_CHECKING:
    from fullyconv.rewrite.onnx_module import OnnxModule

_BATCH = 2
_OPSET = 18


def save_as_onnx(dense: DenseModel, path: Path) -> None:
    """Writes a dense network as an ONNX model for images of any size.

    Raises:
        MissingExtraError: onnx, onnx-ir or onnxruntime is not installed.
        ModelError: a part of it runs on windows, or has no ONNX form.
        OutputError: the file cannot be written.
    """
    for name in ("onnx", "onnx_ir", "onnxruntime"):
        require_extra(name, "onnx")
    if isinstance(dense.module, CropModule):
        raise ModelError(
            f"{path}: this network cannot be saved, because it runs the classifier's own code on crops: "
            f"{dense.report.reasons[0]}"
        )
    module = make_onnx_module(dense, path) if isinstance(dense.module, DenseModule) else dense.module
    save_onnx(dense, module, path)  # type: ignore[arg-type]  # of the three kinds, it is the third


def make_onnx_module(dense: DenseModel, path: Path) -> OnnxModule:
    """Returns the network of a dense model from PyTorch as an ONNX one.

    At one window it equals the classifier, so it is exported there, and the same analysis makes it dense.

    Raises:
        ModelError: a part of it runs on windows, or has no ONNX form.
    """
    from fullyconv.analyze import make_plan
    from fullyconv.capture.onnx_file import capture_onnx
    from fullyconv.capture.onnx_model import load_onnx
    from fullyconv.rewrite.onnx_conversion import build_onnx

    module = dense.module
    assert isinstance(module, DenseModule)  # the caller asked
    if module.program.head is not None:
        reason = dense.image_report.reasons[0]
        raise ModelError(
            f"{path}: a part of this network runs on windows ({reason}), which one ONNX model cannot do; save it as "
            ".pt2, or convert an ONNX export of the classifier"
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "window.onnx"
        _export(module, dense, file)
        try:
            captured = capture_onnx(load_onnx(file), dense.grid.window_px)
        except CaptureError as error:
            raise ModelError(f"{path}: cannot be written as ONNX: {error}") from None
        plan = make_plan(captured.graph, stride=dense.grid.stride_px)
        if plan.windowed or plan.grid.stride_px != dense.grid.stride_px:
            raise ModelError(f"{path}: cannot be written as ONNX: {', '.join(plan.reasons) or plan.grid}")
        exported = build_onnx(plan, captured, dense.card).module
    exported.program = replace(exported.program, structure=module.program.structure)  # type: ignore[arg-type]
    return exported  # type: ignore[return-value]  # which build_onnx always makes


class _Flat(nn.Module):
    """A dense network whose outputs are a tuple."""

    def __init__(self, module: DenseModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.module.list_scores(images)


def _export(module: DenseModule, dense: DenseModel, file: Path) -> None:
    """Writes the network at window size; torch's tracing exporter names weights as the module does."""
    plain = copy_module(module.with_border("image")).cpu()
    image = torch.randn(_BATCH, dense.card.channels, *dense.grid.window_px, dtype=read_dtype(plain))
    count = len(module.program.outputs)
    names = ["scores"] if count == 1 else [f"scores_{place}" for place in range(count)]
    with torch.no_grad(), silence(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's age
        try:
            torch.onnx.export(
                _Flat(plain),  # type: ignore[arg-type]
                (image,),
                file,
                input_names=["image"],
                output_names=names,
                opset_version=_OPSET,
                dynamo=False,
            )
        except Exception as error:  # the exporter fails in many ways
            raise ModelError(f"the network cannot be written as ONNX: {first_line(error)}") from None
