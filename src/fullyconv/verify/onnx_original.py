"""The user's ONNX file, run as it is by onnxruntime, on windows and in two halves.

Nothing of the conversion is used here. The file's own nodes run; sizes that an exporter baked into reshapes of maps
are those of the image at hand, and paddings that follow the image's size are those of a window, because another
network is meant by neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from fullyconv.capture.onnx_model import OnnxModel, load_onnx
from fullyconv.capture.onnx_session import Array, OnnxSession
from fullyconv.capture.onnx_trace import Trace, trace
from fullyconv.capture.onnx_widening import widen_model, widen_source
from fullyconv.errors import CaptureError
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.onnx_module import OnnxModule
from fullyconv.runtime.runner import Session
from fullyconv.verify.answer import Answer
from fullyconv.verify.cut import SplitError
from fullyconv.verify.onnx_double import DoubleSession, require_agreement, require_small
from fullyconv.verify.onnx_sizes import free_sizes, hold_sizes
from fullyconv.verify.outputs import SINGLE
from fullyconv.verify.splits import Probe

_BATCH = 16

# Any seed: an image other than the probe, so that what the head gets past the cut shows.
_OTHER_SEED = 20

# The same head on the same values differs by the order of sums, if at all.
_EQUAL = 1e-3

_ACTIVATIONS = {"Softmax", "Sigmoid"}
_VIEWS = {"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}


def open_onnx(model: object) -> OnnxModel:
    """Returns an ONNX classifier from its path; one that is open already as it is."""
    return model if isinstance(model, OnnxModel) else load_onnx(Path(str(model)))


def widen(original: OnnxModel, dense: DenseModel) -> tuple[OnnxModel, DenseModel]:
    """Returns a classifier and a dense network in float32 where they are in float16, which says little in either."""
    module = dense.module
    if isinstance(module, OnnxModule) and module.program.dtype == "float16":
        head = None if module.head_model is None else widen_model(module.head_model)
        module = OnnxModule(replace(module.program, dtype="float32"), widen_model(module.model), head)
        dense = replace(dense, module=module)
    return widen_source(original), dense


class OnnxOriginal:
    """An ONNX classifier in its own number type.

    Attributes:
        dtype: the number type.
        window: images that the model is known to take, `(B, C, h, w)`.
        trace: what it computes for such.
        rounds_within: False; where the file has coarser numbers within, float64 has not, and shows the difference.
        passed_over: empty; a file asserts nothing.
    """

    rounds_within = False
    passed_over: tuple[str, ...] = ()

    def __init__(self, source: OnnxModel, window: Tensor, dtype: torch.dtype) -> None:
        """Opens a model; in float64 it is run by onnx's reference implementation.

        Raises:
            CaptureError: it fails at window size, has another number type, or cannot be run in float64.
        """
        self.is_widened = (source.dtype, dtype) == ("float32", torch.float64)
        if getattr(torch, source.dtype) != dtype and not self.is_widened:
            raise CaptureError(f"an ONNX network in {source.dtype} does not run in {dtype}")
        self.dtype = dtype
        self.window = window.to(dtype)
        channels, height, width = (int(size) for size in window.shape[1:])
        self.trace: Trace = trace(source, (channels, height, width))
        if self.is_widened:
            require_small([source.model])
        self.source = widen_source(source, "float64") if self.is_widened else source
        self.names = [str(value.name) for value in source.model.graph.outputs]
        self.logits = {str(value.name): _find_logits(value, self.trace) for value in source.model.graph.outputs}
        shown = [name for name in self.logits.values() if name]
        self._session = self.open(self.source.model, shown)
        if self.is_widened:
            session = OnnxSession(source.model, extra_outputs=[*shown, *self.names])
            self._require_agreement(session)

    def open(self, model: ir.Model, extra_outputs: Sequence[str] = ()) -> Session:
        """Returns what runs a part of the file in this number type."""
        return (DoubleSession if self.is_widened else OnnxSession)(model, extra_outputs=extra_outputs)

    def find_type(self, name: str) -> ir.TensorType:
        """Returns the type of one of the file's values in this number type."""
        dtype = np.dtype(self.trace.dtypes[name])
        is_wide = self.is_widened and dtype.kind == "f"
        return ir.TensorType(ir.DataType.DOUBLE if is_wide else ir.DataType.from_numpy(dtype))

    def _require_agreement(self, single: OnnxSession) -> None:
        """Returns if the reference implementation agrees with a session of the file itself."""
        windows, found = self.window[:1].repeat(self.trace.batch, 1, 1, 1), []
        for session, given in ((self._session, windows), (single, windows.float())):
            made = session.run({self.source.image: given.numpy()})
            found.append({name: torch.from_numpy(np.asarray(values)) for name, values in made.items()})
        require_agreement(*found)

    def answer(self, windows: Tensor) -> dict[str, Answer]:
        """Returns the outputs, by name, for windows `(B, C, h, w)`."""
        return self.collect(self._session, {self.source.image: windows})

    def collect(self, session: Session | None, tensors: Mapping[str, Tensor]) -> dict[str, Answer]:
        """Returns the outputs, by name, that a session with all outputs and logits gives for tensors `(B, ...)`."""
        made = dict(tensors)
        if session is not None:
            made |= self.in_batches(tensors, session.run)
        answers = {}
        for name in self.names:
            scores, logits = made[name], made.get(self.logits[name])
            key = name if len(self.names) > 1 else SINGLE
            answers[key] = Answer(scores, None if logits is None else logits.reshape(scores.shape))
        return answers

    def in_batches(
        self, tensors: Mapping[str, Tensor], compute: Callable[[dict[str, Array]], dict[str, Array]]
    ) -> dict[str, Tensor]:
        """Returns what `compute` makes of tensors `(B, ...)`, as many of the B at a time as the model takes.

        Raises:
            CaptureError: it makes more or fewer of them: a size of windows stands in the file and turned rows into
                images, say.
        """
        step = self.trace.batch
        count = len(next(iter(tensors.values())))
        parts = []
        for start in range(0, count, step):
            places = np.minimum(np.arange(start, start + step), count - 1)
            given = {name: self._make_array(tensor[torch.from_numpy(places)]) for name, tensor in tensors.items()}
            made = compute(given)
            for name, value in made.items():
                if value.shape[:1] != (step,):
                    raise CaptureError(f"{name}: expected values of {step} images, got the shape {value.shape}")
            parts.append({name: value[: count - start] for name, value in made.items()})
        return {name: torch.from_numpy(np.concatenate([part[name] for part in parts])) for name in parts[0]}

    def _make_array(self, tensor: Tensor) -> Array:
        array: Array = (tensor.to(self.dtype) if tensor.is_floating_point() else tensor).numpy()
        return array

    def cut(self, probe: Probe) -> OnnxHalves:
        """Returns the file's two halves at values that it has by these names.

        Raises:
            SplitError: it has no such values, or its head gets something past them.
        """
        names = [split.name for split in probe.splits]
        halves = OnnxHalves(self, *_split(self, names))
        shape = self.window.shape
        other = torch.randn(shape, generator=torch.Generator().manual_seed(_OTHER_SEED), dtype=self.dtype)
        answers = halves.head(halves.trunk(other))
        for name, answer in self.answer(other).items():
            if not float((answers[name].scores - answer.scores).abs().max()) <= _EQUAL * float(
                answer.scores.abs().max()
            ):
                raise SplitError(f"{', '.join(names)}: the head's outputs on patches are not those of the original")
        return halves


@dataclass(frozen=True, slots=True)
class OnnxHalves:
    """An ONNX classifier cut at its feature maps.

    Attributes:
        original: the whole.
        trunk_session: from images to feature maps.
        head_session: from patches to outputs and logits; None where the maps are the outputs.
        names: of the feature maps.
    """

    original: OnnxOriginal
    trunk_session: Session
    head_session: Session | None
    names: tuple[str, ...]

    def trunk(self, images: Tensor) -> list[Tensor]:
        """Returns the feature maps of whole images `(N, C, H, W)`.

        Raises:
            CaptureError: the trunk does not run on images of this size.
        """
        image = self.original.source.image
        made = self.original.in_batches({image: images}, self.trunk_session.run)
        return [made[name] for name in self.names]

    def head(self, patches: Sequence[Tensor]) -> dict[str, Answer]:
        """Returns the outputs, by name, for patches `(B, ...)` of each feature map."""
        return self.original.collect(self.head_session, dict(zip(self.names, patches, strict=True)))


def _split(original: OnnxOriginal, names: Sequence[str]) -> tuple[Session, Session | None, tuple[str, ...]]:
    source = original.source
    shown = [name for name in original.logits.values() if name in _find_after(source, names)]
    known = {str(value.name) for node in source.model.graph for value in node.outputs}
    missing = [name for name in names if name not in known]
    if missing:
        raise SplitError(f"{missing[0]}: expected a value of the original here, but none of its nodes makes it")
    trunk = source.model.graph.clone()
    free_sizes(trunk, original.trace, source.image)
    head = source.model.graph.clone()
    hold_sizes(head, original.trace)
    for node in head:
        for value in node.outputs:
            if value.name in names:
                value.shape = ir.Shape([None] * len(original.trace.shapes[str(value.name)]))
    for inner in (trunk, head):
        for value in (value for node in inner for value in node.outputs):
            if value.name in {*names, *original.names, *shown}:
                value.type = original.find_type(str(value.name))
    try:
        trunk_part = ir.convenience.extract(trunk, inputs=[source.image], outputs=list(names))
        ends = [name for name in (*original.names, *shown) if name not in names]
        head_part = ir.convenience.extract(head, inputs=list(names), outputs=ends) if ends else None
    except ValueError:
        raise SplitError(f"{', '.join(names)}: the head gets something past the split") from None
    trunk_part.inputs[0].shape = ir.Shape(["batch", original.window.shape[1], "height", "width"])
    head_session = None if head_part is None else _open(original, head_part)
    return _open(original, trunk_part), head_session, tuple(names)


def _find_after(source: OnnxModel, names: Sequence[str]) -> set[str]:
    """Returns the names of what depends on some values."""
    found = set(names)
    for node in source.model.graph:
        if any(value is not None and value.name in found for value in node.inputs):
            found.update(str(value.name) for value in node.outputs)
    return found - set(names)


def _open(original: OnnxOriginal, part: ir.Graph) -> Session:
    model = original.source.model
    part.opset_imports.update(model.graph.opset_imports)
    return original.open(ir.Model(part, ir_version=model.ir_version))


def _find_logits(output: ir.Value, found: Trace) -> str:
    """Returns the name of what the last softmax or sigmoid is given; "" where an output is not made by one."""
    size = int(np.prod(found.shapes[str(output.name)]))
    node = output.producer()
    while node is not None and node.op_type in _VIEWS and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type not in _ACTIVATIONS or node.inputs[0] is None:
        return ""
    name = str(node.inputs[0].name)
    return name if int(np.prod(found.shapes[name])) == size else ""
