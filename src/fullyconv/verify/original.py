"""The user's own model, run as it is, on windows.

Nothing of the conversion is used here. The forward that runs is the user's Python code (or the exported
program, if that is what the user has), so what it computes is right by definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fullyconv.capture.model_file import load_model_file
from fullyconv.capture.onnx_model import OnnxModel, is_onnx
from fullyconv.errors import CaptureError, OptionError
from fullyconv.verify.answer import Answer
from fullyconv.verify.calls import Call, CallWatch, Watcher
from fullyconv.verify.duplicate import copy_network
from fullyconv.verify.halves import Halves
from fullyconv.verify.outputs import name_outputs
from fullyconv.verify.splits import Probe

Model = nn.Module | torch.export.ExportedProgram | OnnxModel | str | Path

# Windows in one forward: small enough for memory, large enough to be no slower.
_BATCH = 16

_ACTIVATIONS = {"aten._softmax.default", "aten.sigmoid.default", "aten.sigmoid_.default"}


def is_onnx_model(model: object) -> bool:
    """Returns whether a model is an ONNX file, by its name, or one that is open."""
    return isinstance(model, OnnxModel) or is_onnx(model)


def open_original(model: Model) -> nn.Module:
    """Returns the user's model as a module.

    Raises:
        ModelError: a file cannot be used.
        OptionError: it is none of the kinds of models.
    """
    if isinstance(model, (str, Path)):
        return load_model_file(Path(model))[0]
    if isinstance(model, torch.export.ExportedProgram):
        return model.module(check_guards=False)
    if isinstance(model, nn.Module):
        return model
    raise OptionError(
        "verify: expected the original as a module, an exported program or the path of a .pt2 or .t7 file, "
        f"got {type(model).__name__}"
    )


class Original:
    """A copy of the user's model in one number type, in evaluation mode, on the CPU.

    The model itself is not touched.

    Attributes:
        dtype: the number type, float32 or float64.
        window: images that the model is known to take, `(B, C, h, w)`.
        rounds_within: whether its forward makes coarser numbers of those of the number type, as `x.float()` does.
        alone: if not None, each window is run by itself, so many times in a batch, because its scores may depend
            on other windows there.
        passed_over: what the model asserts about its image's size, where its trunk ran on others all the same.

    Raises:
        CaptureError: the model fails at window size in this number type.
        ModelError: the model cannot be copied.
        OptionError: it is none of the kinds of models.
    """

    def __init__(self, model: Model, window: Tensor, dtype: torch.dtype, *, alone: int | None = None) -> None:
        self.dtype = dtype
        self.passed_over: dict[str, None] = {}
        self.window = window.to(dtype)
        self._module = copy_network(open_original(model), dtype)
        self._batch = alone or find_batch(self._module, self.window)
        # Branches of torch.cond cannot be watched, and no part of a model that runs on crops has to be.
        self._watches = alone is None
        self._step = 1 if alone else self._batch or _BATCH
        rounding = _RoundingWatch(dtype)
        outputs = name_outputs(self.run(self.window, rounding))
        self.rounds_within = rounding.seen
        self._sizes = {tensor[0].numel() for tensor in outputs.values()}

    def cut(self, probe: Probe) -> Halves:
        """Returns the model cut at the split tensors.

        Raises:
            SplitError: it does not make them, or its head gets something past them.
        """
        from fullyconv.verify.cut import TorchHalves, find_cut

        return TorchHalves(self, find_cut(self, probe))

    def run(self, images: Tensor, *watchers: Watcher) -> Any:
        """Returns what the forward gives for `(B, C, H, W)`, while the watchers see its calls."""
        with torch.no_grad(), CallWatch(*watchers) if self._watches else nullcontext():
            return self._module(self.fill_batch(images.to(self.dtype, copy=True)))

    def fill_batch(self, tensor: Tensor) -> Tensor:
        """Returns `(B, ...)` repeated up to the batch size that the model demands, if it demands one."""
        return tensor if self._batch is None else tensor[torch.arange(self._batch) % len(tensor)]

    def in_batches(self, tensors: Sequence[Tensor], compute: Callable[[list[Tensor]], list[Tensor]]) -> list[Tensor]:
        """Returns what `compute` makes of tensors `(B, ...)`, given a few of the B at a time."""
        step = self._step
        count = len(tensors[0])
        parts = []
        for start in range(0, count, step):
            given = [tensor[start : start + step] for tensor in tensors]
            parts.append([made[: len(given[0])] for made in compute(given)])
        return [torch.cat(pieces) for pieces in zip(*parts, strict=True)]

    def answer(self, windows: Tensor) -> dict[str, Answer]:
        """Returns the outputs, by name, for windows `(B, C, h, w)`."""
        return self.collect_answers([windows], lambda given: (given[0], []))

    def collect_answers(
        self,
        tensors: Sequence[Tensor],
        prepare: Callable[[list[Tensor]], tuple[Tensor, list[Watcher]]],
    ) -> dict[str, Answer]:
        """Returns the outputs, by name, for B windows of which `tensors` hold something each.

        Args:
            tensors: `(B, ...)` each.
            prepare: turns a part of them into the images to run and the watchers of that forward.
        """
        shown: dict[str, bool] = {}  # whether every part so far showed an output's logits

        def compute(given: list[Tensor]) -> list[Tensor]:
            images, watchers = prepare(given)
            recorder = _ActivationRecorder(self._sizes)
            outputs = name_outputs(self.run(images, recorder, *watchers))
            logits = {name: recorder.find_logits(scores) for name, scores in outputs.items()}
            shown.update({name: shown.get(name, True) and values is not None for name, values in logits.items()})
            kept = [*outputs.values(), *(outputs[name] if found is None else found for name, found in logits.items())]
            return [self._restore_batch(values) for values in kept]

        made = self.in_batches(tensors, compute)
        pairs = zip(shown.items(), made[: len(shown)], made[len(shown) :], strict=True)
        return {name: Answer(scores, logits if is_shown else None) for (name, is_shown), scores, logits in pairs}

    def _restore_batch(self, values: Tensor) -> Tensor:
        """Returns the values of one window `(1, ...)` where the model dropped the batch; others as they are."""
        return values[None] if self._batch == 1 and (not values.dim() or len(values) != 1) else values


def find_batch(module: nn.Module, window: Tensor) -> int | None:
    """Returns the only batch size that a module takes, None if it takes any.

    A program of torch.export says it: at another size it may give wrong values rather than fail. Others are
    tried, because a forward may have a batch size written into it.

    Raises:
        CaptureError: the module fails with every batch size.
    """
    stated = _read_batch(module)
    if stated is not None:
        return stated
    problems = []
    for size in (3, 2, 1):
        try:
            with torch.no_grad():
                outputs = name_outputs(module(window[torch.arange(size) % len(window)]))
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}")
            continue
        if all(tensor.dim() > 0 and len(tensor) == size for tensor in outputs.values()):
            return None if size == 3 else size
        problems.append(f"its outputs do not begin with the batch of {size}")
    raise CaptureError(f"the original fails on a window in {window.dtype}: {problems[-1]}")


def _read_batch(module: nn.Module) -> int | None:
    if not isinstance(module, torch.fx.GraphModule):
        return None
    image = next(node for node in module.graph.nodes if node.op == "placeholder")
    shape = getattr(image.meta.get("val"), "shape", (None,))
    return shape[0] if isinstance(shape[0], int) else None


class _RoundingWatch:
    """Sees whether a call makes coarser numbers of those of a number type."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self.seen = False

    def before(self, call: Call) -> None:
        pass

    def after(self, call: Call, made: Sequence[Tensor]) -> None:
        least = torch.finfo(self._dtype).eps
        is_coarser = any(tensor.is_floating_point() and torch.finfo(tensor.dtype).eps > least for tensor in made)
        given = (value for value in call.arguments if isinstance(value, Tensor))
        self.seen |= is_coarser and any(value.dtype == self._dtype for value in given)


class _ActivationRecorder:
    """Keeps the inputs of the calls that may be the last activation, by their size per window."""

    def __init__(self, sizes: set[int]) -> None:
        self._sizes = sizes
        self._input = torch.empty(0)
        self._seen: list[tuple[Tensor, Tensor]] = []

    def before(self, call: Call) -> None:
        if self._may_be_last(call):
            self._input = call.arguments[0].clone()

    def after(self, call: Call, made: Sequence[Tensor]) -> None:
        if self._may_be_last(call):
            # A copy, because what is put in the activation's place is not made of this input.
            self._seen.append((self._input, made[0].clone()))

    def _may_be_last(self, call: Call) -> bool:
        if call.operation not in _ACTIVATIONS:
            return False
        values = call.arguments[0]
        return bool(values.dim()) and values[0].numel() in self._sizes

    def find_logits(self, scores: Tensor) -> Tensor | None:
        """Returns what the activation that made `scores` was given, in their shape.

        Between the two there may be views: the values are the same, in the same order.
        """
        flat = scores.reshape(-1)
        for logits, activated in reversed(self._seen):
            if activated.numel() == flat.numel() and torch.equal(activated.reshape(-1), flat):
                return logits.reshape(scores.shape)
        return None
