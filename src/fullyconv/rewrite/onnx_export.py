"""Any dense network -> an ONNX file: one that came from PyTorch is exported at window size and made dense again."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, nn

from fullyconv.capture.batching import agree
from fullyconv.capture.calls import Call, Ref
from fullyconv.capture.export import first_line, silence
from fullyconv.capture.module import copy_module, read_device, read_dtype
from fullyconv.capture.onnx_model import OnnxModel, load_onnx
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.errors import CaptureError, ModelError, require_extra
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.onnx_files import save_onnx
from fullyconv.rewrite.program import Instruction

if TYPE_CHECKING:
    from fullyconv.rewrite.onnx_module import OnnxModule

_BATCH = 2
_OPSET = 18

# Of the largest score: sums in another order differ by far less, another operation by far more.
_SAME_RTOL = 1e-3


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
    from fullyconv.rewrite.onnx_conversion import build_onnx
    from fullyconv.rewrite.onnx_module import OnnxModule

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
        _export(_spell_out_divisors(module), dense, file)
        try:
            source = load_onnx(file)
            check_export(module, source)
            captured = capture_onnx(source, dense.grid.window_px)
        except CaptureError as error:
            raise ModelError(f"{path}: cannot be written as ONNX: {error}") from None
        plan = make_plan(captured.graph, stride=dense.grid.stride_px)
        if plan.windowed or plan.grid.stride_px != dense.grid.stride_px:
            raise ModelError(f"{path}: cannot be written as ONNX: {', '.join(plan.reasons) or plan.grid}")
        exported = build_onnx(plan, captured, dense.card).module
    assert isinstance(exported, OnnxModule)  # which build_onnx always makes
    exported.program = replace(exported.program, structure=module.program.structure)
    return exported


def _spell_out_divisors(module: DenseModule) -> DenseModule:
    """Returns the network with sums over windows as averages times a number: the exporter forgets other divisors."""
    instructions: list[Instruction] = []
    for call in module.program.instructions:
        if _is_average(call) and len(call.args) > 6 and call.args[6] is not None:
            kernel, divisor, name = call.args[1], call.args[6], call.outputs[0]
            instructions.append(replace(call, args=(*call.args[:5], True, None), outputs=(f"{name}:mean",)))
            factor = prod(kernel) / divisor
            instructions.append(Call("aten.mul.Tensor", (Ref(f"{name}:mean"), factor), outputs=(name,)))
        else:
            instructions.append(call)
    weights = {name: module.get_weight(name) for name in module.weight_names}
    parameters = frozenset(name for name, _ in module.named_parameters())
    return DenseModule(replace(module.program, instructions=tuple(instructions)), weights, parameters)


def _is_average(call: Instruction) -> TypeGuard[Call]:
    return isinstance(call, Call) and call.target == "aten.avg_pool2d.default"


class _Flat(nn.Module):
    """A dense network whose outputs are a tuple."""

    def __init__(self, module: DenseModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return self.module.list_scores(images)


def check_export(module: DenseModule, source: OnnxModel) -> None:
    """Returns if the exported network gives the scores of the one that it was made from.

    Raises:
        CaptureError: they differ.
    """
    shape = (_BATCH, source.channels or 1, *module.program.window)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    session = OnnxSession(source.model)
    found = session.run({source.image: image.numpy().astype(source.dtype)})
    with torch.no_grad():
        expected = module.with_border("image").list_scores(image.to(read_device(module), read_dtype(module)))
    for name, values in zip(session.outputs, expected, strict=True):
        if not agree(torch.from_numpy(found[name]), values.cpu(), _SAME_RTOL):
            raise CaptureError("torch's exporter gives another network")


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
