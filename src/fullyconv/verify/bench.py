"""Both networks side by side in one number type, ready to be compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from fullyconv.capture.module import read_dtype
from fullyconv.errors import CaptureError
from fullyconv.grid import Pair
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.verify.cut import SplitError
from fullyconv.verify.duplicate import copy_network, is_onnx_network
from fullyconv.verify.halves import Halves, Reference
from fullyconv.verify.original import Model, Original, is_onnx_model
from fullyconv.verify.placement import locate_axes
from fullyconv.verify.splits import MapAxes, Probe
from fullyconv.verify.subject import Subject, run_dense


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Both networks in one number type, ready to run.

    Attributes:
        subject: the converted network's facts.
        module: the converted network with its padding at the image's border: other borders are runs of it.
        as_used: the converted network with its own border, whose distance from crops counts.
        original: the user's model.
        trunk: the original, cut at its feature maps, and how they lie on the image; None if that is not
            known, or if the image itself is cut: then feature windows are image crops.
        why_uncut: why it is not known; "" if the image itself is cut.
        fault: why that is a fault of the conversion; "" if it is none.
        measures: whether to measure distances from crops; once is enough.
        told: the maps whose patches are compared, where the original makes the rest of them at window size only.
    """

    subject: Subject
    module: nn.Module
    as_used: nn.Module
    original: Reference
    trunk: tuple[Halves, tuple[MapAxes, ...]] | None
    why_uncut: str = ""
    fault: str = ""
    measures: bool = True
    told: tuple[str, ...] = ()


def set_up(subject: Subject, model: Model, dtype: torch.dtype) -> Bench:
    """Returns both networks in `dtype`, with the place of the feature map in the original, if it has one.

    Raises:
        CaptureError: the original fails on a window in this number type; or the converted network does, where
            it is kept in another: that proves nothing against it.
    """
    if dtype == torch.float64:
        _require_one_form(subject.module, model)
    original = _open(model, subject, dtype)
    as_used, probe = _choose_network(subject, dtype), subject.probe
    module = as_used.with_border("image") if isinstance(as_used, GridModule) else as_used
    if read_dtype(subject.module) != dtype:
        _require_running(subject, module, original)
    if probe.is_image():
        return Bench(subject, module, as_used, original, None)
    try:
        trunk, told = _cut_trunk(original, probe, subject.fine.own.stride_px)
    except SplitError as error:
        return Bench(subject, module, as_used, original, None, str(error), fault=str(error))
    except Exception as error:
        return Bench(subject, module, as_used, original, None, explain(error))
    return Bench(subject, module, as_used, original, trunk, told=told)


def _cut_trunk(
    original: Reference, probe: Probe, stride_px: Pair
) -> tuple[tuple[Halves, tuple[MapAxes, ...]], tuple[str, ...]]:
    """Returns the original cut at its feature maps, or only at those of which the others are made.

    A forward may make the others in a way that knows only the window's size.
    """
    try:
        return _cut_at(original, probe, stride_px), ()
    except SplitError:
        raise
    except Exception:
        source = probe.drop_derived()
        if len(source.splits) == len(probe.splits):
            raise
        return _cut_at(original, source, stride_px), tuple(split.name for split in source.splits)


def _cut_at(original: Reference, probe: Probe, stride_px: Pair) -> tuple[Halves, tuple[MapAxes, ...]]:
    halves = original.cut(probe)
    return halves, locate_axes(halves, original.window, [split.name for split in probe.splits], stride_px)


def _open(model: Model, subject: Subject, dtype: torch.dtype) -> Reference:
    if is_onnx_model(model):
        from fullyconv.verify.onnx_original import OnnxOriginal, open_onnx

        return OnnxOriginal(open_onnx(model), subject.probe.image, dtype)
    return Original(model, subject.probe.image, dtype, alone=subject.alone)


def _choose_network(subject: Subject, dtype: torch.dtype) -> nn.Module:
    """Returns what is checked in a number type: in the network's own, whatever runs it there."""
    runner = subject.runner if read_dtype(subject.module) == dtype else None
    return copy_network(subject.module, dtype) if runner is None else runner


def _require_one_form(module: nn.Module, model: Model) -> None:
    """Returns if both networks are ONNX or both torch: an exporter computes weights anew, and rounds them."""
    if is_onnx_network(module) != is_onnx_model(model):
        raise CaptureError(
            "an ONNX file and a network in PyTorch have weights that are rounded apart, so float64 is out"
        )


def _require_running(subject: Subject, module: nn.Module, original: Reference) -> None:
    try:
        found = run_dense(module, original.window)
    except Exception as error:
        raise CaptureError(f"the converted network fails in {original.dtype}: {explain(error)}") from error
    if is_onnx_network(subject.module):
        from fullyconv.verify.onnx_double import require_agreement

        expected = run_dense(subject.module, original.window.to(read_dtype(subject.module)))
        require_agreement(*[{name: values.scores for name, values in made.items()} for made in (found, expected)])


def explain(error: Exception) -> str:
    """Returns an error's kind and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
