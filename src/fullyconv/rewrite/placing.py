"""A dense network -> what runs it on a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fullyconv.capture.module import read_device
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.errors import ModelError, require_extra
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.rewrite.tuned_module import TunedModule
from fullyconv.runtime.runner import OpenSession
from fullyconv.runtime.specification import Runtime

if TYPE_CHECKING:
    import onnx_ir as ir

    from fullyconv.rewrite.dense_model import DenseModel
    from fullyconv.rewrite.onnx_module import OnnxModule


class Placement:
    """Puts one dense network on runtimes; its ONNX form is made once, when it is first needed.

    Attributes:
        module: the network as it is.
    """

    module: GridModule | CropModule

    def __init__(self, dense: DenseModel) -> None:
        """Takes a network, which is not changed."""
        self.module = dense.module
        self._make_onnx = cache(partial(_make_onnx, dense))

    @property
    def own(self) -> Runtime:
        """What runs the network as it is."""
        if isinstance(self.module, DenseModule | CropModule):
            return Runtime(device=str(read_device(self.module)))
        return Runtime("onnxruntime")

    def run_own(self, image: Tensor) -> Any:
        """Returns the logits of the network as it is."""
        with torch.inference_mode():
            return self.module.logits(image)

    def place(self, runtime: Runtime) -> GridModule | None:
        """Returns the network on a runtime; None where it runs so as it is.

        Raises:
            CaptureError: the runtime cannot load it; carries its message.
            MissingExtraError: a library is not installed.
            ModelError: it has no form for this runtime.
        """
        if runtime == self.own:
            return None
        if runtime.library == "torch":
            return TunedModule(_require_torch(self.module), runtime)
        if runtime.library == "openvino":
            require_extra("openvino", "openvino")  # before the network's form for it is made
        module = self._make_onnx()
        return module.with_sessions(_choose_session(runtime))


def _require_torch(module: GridModule | CropModule) -> DenseModule:
    if isinstance(module, CropModule):
        raise ModelError(_explain_crops())
    if not isinstance(module, DenseModule):
        raise ModelError(
            "runtime torch: this network came from an ONNX file, which torch does not run; choose onnxruntime, "
            "openvino or auto"
        )
    return module


def _explain_crops() -> str:
    return "runtime: this network runs the classifier's own code on crops, as it is; leave the runtime out"


def _choose_session(runtime: Runtime) -> OpenSession:
    if runtime.library == "onnxruntime":
        return partial(OnnxSession, device=runtime.device)
    from fullyconv.runtime.openvino_session import OpenVinoSession

    def open_session(model: ir.Model, *, extra_outputs: Sequence[str] = ()) -> OpenVinoSession:
        return OpenVinoSession(model, runtime, extra_outputs=extra_outputs)

    return open_session


def _make_onnx(dense: DenseModel) -> OnnxModule:
    """Returns the network as an ONNX one, which onnxruntime runs, with the same border.

    Raises:
        MissingExtraError: onnx, onnx-ir or onnxruntime is not installed.
        ModelError: it has no ONNX form.
    """
    for name in ("onnx", "onnx_ir", "onnxruntime"):
        require_extra(name, "onnx")
    from fullyconv.rewrite.onnx_export import make_onnx_module
    from fullyconv.rewrite.onnx_module import OnnxModule

    if isinstance(dense.module, CropModule):
        raise ModelError(_explain_crops())
    if isinstance(dense.module, OnnxModule):
        return dense.module
    exported = make_onnx_module(dense, Path("its ONNX form")).with_border(dense.module.program.border)
    exported.memory_bytes = dense.module.memory_bytes
    return exported
