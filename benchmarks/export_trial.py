"""One ONNX file: converted, saved, and checked on two runtimes against the file itself."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from exported import Export, Exported
from torch import nn
from torch.utils import _pytree as pytree
from trial import TrialSettings, draw_images, draw_samples

import fullyconv
from fullyconv.capture.onnx_model import OnnxModel, load_onnx
from fullyconv.rewrite import DenseModel
from fullyconv.verify.comparison import Comparison
from fullyconv.verify.onnx_original import OnnxOriginal
from fullyconv.verify.report import VerifyReport
from fullyconv.verify.samples import Sample
from fullyconv.verify.subject import describe
from fullyconv.verify.verification import VerifySettings, verify_subject

# Of the largest score or logit, on either runtime.
TOLERANCE = 1e-5

# Scores of two images that differ by less say nothing about a conversion.
_LEAST_DIFFERENCE = 1e-3

SETTINGS = TrialSettings()
_SINGLE = VerifySettings(SETTINGS.windows, SETTINGS.seed, (torch.float32,))
_BOTH = VerifySettings(SETTINGS.windows, SETTINGS.seed, (torch.float64, torch.float32))


def try_export(case: Export) -> dict[str, Any]:
    """Returns the row of a file; whatever goes wrong is in it."""
    row: dict[str, Any] = {"outcome": "not made"}
    try:
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(SETTINGS.seed)
            _try(case.make(Path(folder)), Path(folder), row)
    except Exception as error:
        trace = traceback.format_exception(error)
        row |= {"message": f"{type(error).__name__}: {error}"[:600], "trace": "".join(trace)[-2500:]}
    return row


def _try(exported: Exported, folder: Path, row: dict[str, Any]) -> None:
    row |= {"outcome": "conversion failed", "exporter": exported.exporter}
    source = load_onnx(exported.path, exported.bind)
    dense = _convert(source, exported, row)
    dense.save(folder / "dense" / "dense.onnx")
    dense = fullyconv.load(folder / "dense" / "dense.onnx")
    row["outcome"] = "check failed"
    row["liveliness"] = _measure_liveliness(source, dense)
    if not row["liveliness"] > _LEAST_DIFFERENCE:
        raise ValueError(f"two images give the same scores up to {row['liveliness']:.1e}")
    samples = list(draw_samples(dense, SETTINGS.seed))
    row |= {"errors": {}, "outcome": "right"}
    subject = replace(describe(dense, source, SETTINGS.seed), windows=SETTINGS.windows)
    for runtime, checks in (("onnxruntime", _BOTH), ("openvino", _SINGLE)):
        placed = replace(subject, runner=dense.on(runtime).runner)
        _note(runtime, verify_subject(placed, source, samples, checks), row)
    if exported.module is not None:
        _compare_with_module(exported.module, dense, samples, row)


def _convert(source: OnnxModel, exported: Exported, row: dict[str, Any]) -> DenseModel:
    start = time.perf_counter()
    dense = fullyconv.convert(source, exported.window)
    report = dense.report
    row |= {
        "convert_s": time.perf_counter() - start,
        "window": dense.grid.window_px,
        "stride": dense.grid.stride_px,
        "tier": report.tier,
        "guarantee": report.guarantee,
        "split": report.split,
        "reasons": report.reasons,
        "shared": report.shared_flops,
    }
    return dense


def _measure_liveliness(source: OnnxModel, dense: DenseModel) -> float:
    """Returns how far the logits of two images differ, relative to the largest; the least over all outputs."""
    images = draw_images(dense.card.channels, dense.grid.window_px, SETTINGS.seed)[:2]
    answers = OnnxOriginal(source, images, torch.float32).answer(images).values()
    shown = [answer.scores if answer.logits is None else answer.logits for answer in answers]
    return min(float((values[0] - values[1]).abs().max() / values.abs().max()) for values in shown)


def _note(runtime: str, report: VerifyReport, row: dict[str, Any]) -> None:
    """Puts a report into the row: the largest error of each guarantee, and what is wrong.

    Float64 decides: where it finds both equal, a larger error in float32 is the rounding of a deep random network.
    """
    row["errors"][runtime] = find_errors(report)
    row["beyond_window"] = row.get("beyond_window", True) and report.checked_beyond_window
    row.setdefault("notes", []).extend(report.notes)
    double = [item for item in report.comparisons if item.dtype == "float64"]
    if double:
        row["double"] = max(item.max_rel for item in double)
    failed = [item for item in choose_comparisons(report) if not item.max_rel <= TOLERANCE]
    failed = [item for item in double if not item.passed] or failed
    if failed and row["outcome"] != "wrong":
        worst = max(failed, key=lambda item: item.max_rel)
        row["outcome"] = "rounding" if "double" in row and worst.dtype == "float32" else "wrong"
        row["message"] = f"{runtime}, {worst.guarantee} ({worst.quantity}): {worst.max_rel:.1e} {worst.detail}"


def find_errors(report: VerifyReport) -> dict[str, float]:
    """Returns the largest relative error by guarantee."""
    errors: dict[str, float] = {}
    for item in choose_comparisons(report):
        errors[item.guarantee] = max(errors.get(item.guarantee, 0.0), item.max_rel)
    return errors


def choose_comparisons(report: VerifyReport) -> list[Comparison]:
    """Returns the comparisons in float32, of logits where an output has them, else of scores.

    A softmax makes an absolute difference of large logits a relative one of scores.
    """
    single = [item for item in report.comparisons if item.dtype == "float32"]
    shown = {item.output for item in single if item.quantity == "logits"}
    return [item for item in single if item.quantity == "logits" or item.output not in shown]


def _compare_with_module(module: nn.Module, dense: DenseModel, samples: Sequence[Sample], row: dict[str, Any]) -> None:
    """Compares the file's dense network with the one that is converted from PyTorch."""
    other = fullyconv.convert(module, dense.grid.window_px)
    facts = {
        "grid": (other.grid, dense.grid),
        "tier": (other.report.tier, dense.report.tier),
        "guarantee": (other.report.guarantee, dense.report.guarantee),
    }
    different = [f"{name}: {mine} and {theirs}" for name, (mine, theirs) in facts.items() if mine != theirs]
    row["from_pytorch"] = {"tier": other.report.tier, "shared": other.report.shared_flops, "different": different}
    if dense.grid == other.grid:
        row["from_pytorch"]["error"] = max(_measure_distance(dense, other, sample) for sample in samples)
    if different or not row["from_pytorch"]["error"] <= TOLERANCE:
        row["outcome"] = "wrong"
        row["message"] = f"not as from PyTorch: {'; '.join(different) or row['from_pytorch']['error']}"


def _measure_distance(dense: DenseModel, other: DenseModel, sample: Sample) -> float:
    images = sample.images.float()
    pairs = zip(pytree.tree_leaves(dense(images)), pytree.tree_leaves(other(images)), strict=True)
    return max(float((found - wanted).abs().max() / wanted.abs().max()) for found, wanted in pairs)
