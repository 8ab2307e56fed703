"""One classifier: made, given weights that show errors, converted, checked against both references."""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from classifiers import Case, Classifier
from classifiers.weights import LEAST_VARIATION, randomise
from cold_start import load_libraries, run_on_windows
from memory import watch_growth
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

import fullyconv
from fullyconv.rewrite import DenseModel
from fullyconv.verify.report import VerifyReport
from fullyconv.verify.rounding import find_computed
from fullyconv.verify.samples import Sample
from fullyconv.verify.subject import describe
from fullyconv.verify.verdict import NOISE_FACTOR
from fullyconv.verify.verification import VerifySettings, verify_subject

# DESIGN, section 5: float32 sums in another order differ by up to about 1.2e-5 of the largest score.
TOLERANCE_FP32 = 2e-5
TOLERANCE_FP64 = 1e-10

# To fit weights to. With two images, deep gated networks took other ones for a thousand times as large.
_IMAGES = 16

_BOTH = (torch.float64, torch.float32)

# Logits of two images that differ by less say nothing about a conversion.
_LEAST_DIFFERENCE = 1e-3

# Of a signal; see randomise.
_LEAST_VARIATIONS = (LEAST_VARIATION, LEAST_VARIATION / 10, LEAST_VARIATION / 100)


# Where the original's own scores in float32 and in float64 are further apart, its weights make differences of large
# numbers, and rounding decides what comes out: nothing can be said about a conversion. Trained networks do not.
_MOST_NOISE = 1e-2


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """How thoroughly to check.

    Attributes:
        quick: whether to compare one window only, in float32.
        windows: how many windows of exactly the window's size, and at most on each image.
        seed: of weights and images.
    """

    quick: bool = False
    windows: int = 2
    seed: int = 0


def try_case(case: Case, settings: TrialSettings) -> dict[str, Any]:
    """Returns the row of a classifier; whatever goes wrong is in it."""
    row: dict[str, Any] = {"suite": case.suite, "name": case.name, "quick": settings.quick, "outcome": "not made"}
    try:
        load_libraries()
        classifier, images = _make_lively(case, row, settings.seed)
        if not row["liveliness"] > _LEAST_DIFFERENCE:
            return row | {"message": f"two images give the same scores up to {row['liveliness']:.1e}"}
        row["outcome"] = "conversion failed"
        dense = _convert(classifier, row)
        row["outcome"] = "check failed"
        _check(dense, classifier, images[:2], row, settings)
    except Exception as error:
        trace = traceback.format_exception(error)
        row |= {"message": f"{type(error).__name__}: {error}"[:600], "trace": "".join(trace)[-2500:]}
    return row


def _make_lively(case: Case, row: dict[str, Any], seed: int) -> tuple[Classifier, Tensor]:
    """Returns a classifier with weights under which its scores differ, as far as that is possible, and images.

    Where what images have in common drowns their differences, layer after layer, more of it is taken away.
    """
    for least_variation in _LEAST_VARIATIONS:
        torch.manual_seed(seed)
        classifier = case.make()
        row |= _describe(classifier) | {"outcome": "invalid"}
        images = draw_images(classifier.channels, classifier.window, seed)
        randomise(classifier.module, images, seed, least_variation=least_variation)
        row["liveliness"] = _measure_liveliness(classifier.module, images)
        if row["liveliness"] > _LEAST_DIFFERENCE:
            break
    return classifier, images


def _describe(classifier: Classifier) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in classifier.module.parameters())
    return {"window": classifier.window, "channels": classifier.channels, "parameters": parameters}


def draw_images(channels: int, window: tuple[int, int], seed: int) -> Tensor:
    """Returns random images to fit weights to, `(16, C, h, w)` in float32."""
    return _draw(_IMAGES, (channels, *window), seed).float()


def _draw(count: int, shape: tuple[int, int, int], seed: int) -> Tensor:
    """Returns noise on broad patches of other colours; all noise alone looks the same to a network that averages."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, *shape, generator=generator, dtype=torch.float64)
    patches = torch.randn(count, shape[0], 3, 3, generator=generator, dtype=torch.float64)
    return noise + 2 * F.interpolate(patches, shape[1:], mode="bilinear", align_corners=False)


def _measure_liveliness(module: nn.Module, images: Tensor) -> float:
    """Returns how far the scores of images differ, relative to the largest; the least over all outputs."""
    with torch.no_grad():
        outputs = [leaf for leaf in pytree.tree_leaves(module(images)) if isinstance(leaf, Tensor)]
    return min(float((leaf - leaf[:1]).abs().max() / leaf.abs().max()) for leaf in outputs)


def _convert(classifier: Classifier, row: dict[str, Any]) -> DenseModel:
    with watch_growth() as own:
        run_on_windows(classifier, 2)
    start = time.perf_counter()
    with watch_growth() as growth:  # beyond the module itself, which has been run, and the libraries, which are loaded
        dense = fullyconv.convert(classifier.module, classifier.window)
    tensors = [*classifier.module.parameters(), *classifier.module.buffers()]
    report = dense.report
    row |= {
        "convert_s": time.perf_counter() - start,
        "convert_bytes": growth.bytes,
        "run_bytes": own.bytes,
        "weights_bytes": sum(tensor.nbytes for tensor in tensors),
        "tier": report.tier,
        "guarantee": report.guarantee,
        "stride": dense.grid.stride_px,
        "split": report.split,
        "reasons": report.reasons,
        "padding": report.guarantee_reasons[:2],
        "shared": report.shared_flops,
    }
    return dense


def _check(
    dense: DenseModel, classifier: Classifier, images: Tensor, row: dict[str, Any], settings: TrialSettings
) -> None:
    start = time.perf_counter()
    if settings.quick:
        errors = {"float32": _compare_windows(dense, classifier.module, images)}
        outcome = "right"
        if not errors["float32"] <= TOLERANCE_FP32:  # float64 decides
            exact = dense.to(torch.float64)
            errors["float64"] = _compare_windows(exact, classifier.module.double(), images.double())
            outcome = "rounding" if errors["float64"] <= TOLERANCE_FP64 else "wrong"
        row["errors"] = {"window": errors}
    else:
        outcome = _verify(dense, classifier, row, settings)
    row |= {"verify_s": time.perf_counter() - start, "outcome": outcome}


def _compare_windows(dense: DenseModel, module: nn.Module, images: Tensor) -> float:
    with torch.no_grad():
        wanted = [leaf for leaf in pytree.tree_leaves(module(images)) if isinstance(leaf, Tensor)]
        found = pytree.tree_leaves(dense(images))
    pairs = zip(found, wanted, strict=True)
    return max(float((a.reshape(b.shape) - b).abs().max() / b.abs().max()) for a, b in pairs)


def _verify(dense: DenseModel, classifier: Classifier, row: dict[str, Any], settings: TrialSettings) -> str:
    report = _report(dense, classifier.module, settings)
    if find_computed(dense.module, classifier.module):
        report = _check_in_double(report, classifier, settings)
    failed = [comparison for comparison in report.comparisons if not comparison.passed]
    row |= {"errors": report.errors, "notes": report.notes, "beyond_window": report.checked_beyond_window}
    row["tolerances"] = {
        dtype: max(item.tolerance for item in report.comparisons if item.dtype == dtype)
        for dtype in {item.dtype for item in report.comparisons}
    }
    if failed:
        row["message"] = f"{failed[0].guarantee} {failed[0].dtype}: {failed[0].max_rel:.1e} {failed[0].detail}"
    noise = row["tolerances"].get("float32", 0.0) / NOISE_FACTOR
    if noise > _MOST_NOISE:
        row["message"] = f"with these weights the original's own float32 is off by {noise:.1e}"
        return "invalid"
    # Float64 decides: a random network may enlarge the rounding of float32 beyond any tolerance (DESIGN, section 5).
    in_double = {comparison.dtype for comparison in report.comparisons} == {"float64", "float32"}
    if in_double and {comparison.dtype for comparison in failed} == {"float32"}:
        return "rounding"
    return "right" if report.passed else "wrong"


def _report(
    dense: DenseModel, module: nn.Module, settings: TrialSettings, dtypes: tuple[torch.dtype, ...] = _BOTH
) -> VerifyReport:
    subject = replace(describe(dense, module, settings.seed), windows=settings.windows)
    checks = VerifySettings(settings.windows, settings.seed, dtypes)
    return verify_subject(subject, module, list(draw_samples(dense, settings.seed)), checks)


def _check_in_double(report: VerifyReport, classifier: Classifier, settings: TrialSettings) -> VerifyReport:
    """Returns the report with its float64 part from a conversion of the classifier in float64.

    Weights that the conversion of a float32 classifier computes are kept in float32, and so rounded; in float64
    nothing but the arithmetic is left to differ.
    """
    module = copy.deepcopy(classifier.module).double()
    dense = fullyconv.convert(module, classifier.window)
    exact = _report(dense, module, settings, (torch.float64,)).comparisons
    rest = [item for item in report.comparisons if item.dtype != "float64"]
    return replace(report, comparisons=(*exact, *rest))


def draw_samples(dense: DenseModel, seed: int) -> Iterable[Sample]:
    """Yields images of two sizes, of two windows each, because every model must take little time.

    One is a stride higher than the window; the other is wider, with rest pixels that differ in y and x.
    """
    (height, width), (sy, sx) = dense.grid.window_px, dense.grid.stride_px
    sizes = {"whole strides": (height + sy, width), "rest pixels": (height + sy // 2, width + 2 * sx - 1)}
    for number, (name, size) in enumerate(sizes.items(), 1):
        yield Sample(name, _draw(1, (dense.card.channels, *size), seed + number))
