"""Whether a converted network equals the original: references, two number types, one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from fullyconv.capture.module import read_dtype
from fullyconv.capture.onnx_model import OnnxModel
from fullyconv.card import Border
from fullyconv.errors import CaptureError, OptionError
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.verify.bench import Bench, set_up
from fullyconv.verify.checks import Findings, check_sample, check_window
from fullyconv.verify.comparison import Pairing
from fullyconv.verify.duplicate import is_onnx_network
from fullyconv.verify.original import Model, is_onnx_model, open_original
from fullyconv.verify.report import VerifyReport
from fullyconv.verify.rounding import Rounding, find_computed, measure_rounding
from fullyconv.verify.samples import (
    CONTRASTS,
    Sample,
    make_random_samples,
    make_window_sample,
    read_samples,
)
from fullyconv.verify.subject import Subject, describe
from fullyconv.verify.verdict import judge_all, measure_own_noise


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """How thoroughly to check.

    Attributes:
        windows_per_image: windows compared at most on each image (corners always).
        seed: of the random images and of the choice of windows.
        dtypes: the number types to compare in, one after the other.
    """

    windows_per_image: int = 64
    seed: int = 0
    dtypes: tuple[torch.dtype, ...] = (torch.float64, torch.float32)

    def __post_init__(self) -> None:
        if self.windows_per_image < 1:
            raise OptionError(f"windows_per_image: expected at least 1, got {self.windows_per_image}")


# From here on float32 hardly says anything, so the report does.
_LOUD = 1e-2

_WIDENED = "the model is in float16, and was checked in float32 with the same weights"

DEFAULTS = VerifySettings()


def verify(dense: DenseModel, model: Model, images: Any = None, *, settings: VerifySettings = DEFAULTS) -> VerifyReport:
    """Returns whether a converted network gives what its classifier gives, and how far they are apart.

    Three references, in float64 and float32: the classifier on images of exactly the window's size; its head
    on patches of the feature map that its trunk makes of the whole image; and, where that is promised, the
    classifier on the pixels of each window. Where it is not promised, the distance from crops is measured.

    Args:
        dense: from `convert` or `load`.
        model: the classifier: a module, an exported program, or the path of a `.pt2`, `.onnx` or `.t7`; it is not
            changed.
        images: one or several of: a path; a `(H, W)` or `(H, W, C)` uint8 array, prepared as the card says; a
            float array or tensor `(C, H, W)` or `(N, C, H, W)`, which is network input already. If None,
            random ones of two sizes, one of which leaves rest pixels.
        settings: how many windows of each image, and the seed.

    Raises:
        CaptureError: the classifier cannot run at the window.
        ImageError: an image cannot be read or does not suit the network.
        ModelError: the classifier's file cannot be used, or the classifier cannot be copied.
        OptionError: the model or an image is none of the kinds above.
    """
    original: nn.Module | OnnxModel
    if is_onnx_model(model):
        original = open_onnx_lazily(model)
        is_half = original.dtype == "float16"
        original, dense = widen_lazily(original, dense)
    else:
        is_half = False
        original = open_original(model)
    if images is None:
        own = replace(dense.grid, stride_px=dense.own_stride_px)
        around = dense.image_margins_px if own != dense.grid else ((0, 0), (0, 0))
        samples = make_random_samples(own, dense.card.channels, settings.seed, around_px=around)
    else:
        samples = read_samples(images, dense.card)
    report = verify_subject(describe(dense, original, settings.seed), original, samples, settings)
    notes = (*report.notes, _WIDENED) if is_half else report.notes
    return replace(report, notes=notes, runtime=_name_runtime(dense))


def verify_subject(subject: Subject, model: Model, samples: Sequence[Sample], settings: VerifySettings) -> VerifyReport:
    """Returns the report on a converted network.

    Float64 decides: a right conversion and a wrong one are eleven orders of magnitude apart there. Float32 is
    checked as well, because that is what people run.

    Raises:
        CaptureError: the networks run in neither number type.
    """
    found: dict[torch.dtype, Findings] = {}
    problems = []
    for dtype in settings.dtypes:
        try:
            bench = replace(set_up(subject, model, dtype), measures=not found)
            found[dtype] = _check(bench, samples, settings)
        except CaptureError as error:
            problems.append(error)
    if not found:
        raise problems[-1]
    computed, rounding = _measure_computed(subject, model, settings.seed)
    coarse = {dtype for dtype, findings in found.items() if findings.rounds_within}
    notes = [f"not checked in one number type: {error}" for error in problems]
    if torch.float64 in coarse:
        notes.append(
            "the model rounds to coarser numbers within its forward, so float64 is held to float32's tolerance"
        )
    if subject.allowed:
        own = str(read_dtype(subject.module)).removeprefix("torch.")
        notes.append(f"a coarser arithmetic was asked for, so {own} is held to {subject.allowed:.0e}")
    notes += [note for findings in found.values() for note in findings.notes]
    pairings = {dtype: findings.pairings for dtype, findings in found.items()}
    unrest = {key: value for findings in found.values() for key, value in findings.unrest.items()}
    return VerifyReport(
        guarantee=subject.guarantee,
        border=_find_border(subject.module),
        comparisons=judge_all(pairings, rounding, coarse, {read_dtype(subject.module): subject.allowed}, unrest),
        fidelity=tuple(next(iter(found.values())).fidelity),
        notes=tuple(dict.fromkeys([*notes, *_note_computed(computed), *_note_noise(pairings, unrest)])),
        seed=settings.seed,
    )


def _name_runtime(dense: DenseModel) -> str:
    if dense.runner is None or dense.choice is None:
        return ""
    return f"{str(read_dtype(dense.module)).removeprefix('torch.')} on {dense.choice.runtime}"


def open_onnx_lazily(model: Model) -> OnnxModel:
    """Returns an open ONNX model; the packages for it are needed for nothing else."""
    from fullyconv.verify.onnx_original import open_onnx

    return open_onnx(model)


def widen_lazily(original: OnnxModel, dense: DenseModel) -> tuple[OnnxModel, DenseModel]:
    """Returns both in float32 where they are in float16; as above, the packages for it are needed for nothing else."""
    from fullyconv.verify.onnx_original import widen

    return widen(original, dense)


def _measure_computed(subject: Subject, model: Model, seed: int) -> tuple[tuple[str, ...], Rounding]:
    """Returns the names of the computed weights, and what their rounding makes of the scores.

    On images as those of `check_window`: in powers, say, the contrast decides how much that is.
    """
    dense, channels = subject.module, subject.probe.image.shape[1]
    image = make_window_sample(subject.grid, channels, seed, CONTRASTS).images
    if is_onnx_network(dense) != is_onnx_model(model):
        return (), {}  # an exporter computes weights too; float32 alone is compared
    if not is_onnx_network(dense):
        computed = find_computed(dense, open_original(model))
        return computed, measure_rounding(dense, computed, image, seed)
    from fullyconv.rewrite.onnx_module import OnnxModule
    from fullyconv.verify.onnx_rounding import find_computed_onnx, measure_onnx_rounding

    assert isinstance(dense, OnnxModule)
    computed = find_computed_onnx(dense, open_onnx_lazily(model))
    return computed, measure_onnx_rounding(dense, computed, image, seed)


def _check(bench: Bench, samples: Sequence[Sample], settings: VerifySettings) -> Findings:
    subject, findings = bench.subject, Findings(rounds_within=bench.original.rounds_within)
    channels = subject.probe.image.shape[1]
    windows = make_window_sample(subject.grid, channels, settings.seed, subject.windows)
    check_window(bench, windows, findings)
    for sample in samples:
        count = len(sample.images)
        cells = subject.fine.choose_cells(count, sample.size_px(), settings.windows_per_image, settings.seed)
        check_sample(bench, sample, cells, findings)
    findings.notes.extend(_note_assertions(tuple(bench.original.passed_over)))
    return findings


def _note_assertions(messages: Sequence[str]) -> list[str]:
    """Returns a note with the first of several messages: there is one for each size that was tried."""
    return [
        f"the model takes no larger image as it is (it asserts: {message or 'nothing said'}); its trunk ran past it"
        for message in messages[:1]
    ]


def _find_border(module: nn.Module) -> Border:
    return module.program.border if isinstance(module, GridModule) else "image"


def _note_noise(
    pairings: Mapping[torch.dtype, Sequence[Pairing]], unrest: Mapping[tuple[str, ...], float]
) -> list[str]:
    noise = max([*measure_own_noise(pairings).values(), *unrest.values()], default=0.0)
    if noise < _LOUD:
        return []
    return [f"the original's own float32 scores are up to {noise:.0e} from its float64 scores; float64 decides"]


def _note_computed(computed: Sequence[str]) -> list[str]:
    if not computed:
        return []
    names = ", ".join([*computed[:3], *(["..."] if computed[3:] else [])])
    return [f"computed weights, kept rounded, so the tolerance is wider: {len(computed)} ({names})"]
