"""The report as text and as JSON."""

from __future__ import annotations

import json
import math

from fullyconv.verify.comparison import Comparison
from fullyconv.verify.fidelity import Fidelity
from fullyconv.verify.report import VerifyReport


def make_comparison(guarantee: str, error: float, dtype: str = "float32", detail: str = "") -> Comparison:
    return Comparison(
        guarantee, "kind", "scores", dtype, "an image", (64, 128), 12, error, error, 2e-5, error <= 2e-5,
        (0, 1, 2), detail,
    )  # fmt: skip


def make_fidelity() -> Fidelity:
    return Fidelity(
        "kind", "an image", (64, 128), 12, 0.5, 0.125, 0.75, None, (0, 1, 2), (8, 4, 40, 20), "top right", 0.25,
        moved_px=2, moved_difference=0.05,
    )  # fmt: skip


def test_it_passes_only_if_everything_did():
    good, bad = make_comparison("window", 1e-6), make_comparison("image crops", 1e-2)
    assert VerifyReport("image crops", (good,)).passed
    assert not VerifyReport("image crops", (good, bad)).passed
    assert not VerifyReport("image crops", ()).passed


def test_errors_are_the_largest_by_guarantee_and_number_type():
    comparisons = [
        make_comparison("window", 1e-6),
        make_comparison("window", 3e-6),
        make_comparison("window", 1e-13, "float64"),
        make_comparison("image crops", 2e-6),
    ]
    assert VerifyReport("image crops", tuple(comparisons)).errors == {
        "window": {"float32": 3e-6, "float64": 1e-13},
        "image crops": {"float32": 2e-6},
    }


def test_text_names_the_verdict_the_worst_and_the_distance():
    report = VerifyReport(
        "feature windows",
        (make_comparison("window", 1e-6), make_comparison("feature windows", 1e-2)),
        (make_fidelity(),),
        ("something was not checked",),
        seed=11,
    )
    text = str(report)
    assert text.startswith("FAILED (promised: feature windows; seed 11)")
    assert "window          float32  equal      relative error 1.0e-06 (allowed 2e-05), 12 windows" in text
    assert "failed: feature windows, float32, kind (scores), an image 128x64: relative error 1.0e-02" in text
    assert "at cell (0, 1, 2)" in text
    assert "difference at most 0.5, mean 0.125, correlation 0.750, same class -; worst in the window" in text
    assert "x 8-40, y 4-20, and at the top right of the image" in text
    assert "for a heat map: it is 2.5 times as far from crops as crops moved by 2 pixels are; it shows roughly" in text
    assert text.endswith("note: something was not checked")


def test_a_window_alone_is_not_called_a_pass_of_everything():
    report = VerifyReport("feature windows", (make_comparison("window", 1e-6),), notes=("why",))
    assert str(report).startswith("passed at window size only; nothing larger could be checked")
    assert not report.checked_beyond_window


def test_json_holds_everything_and_no_infinity():
    report = VerifyReport("image crops", (make_comparison("window", math.inf, detail="no such output"),), seed=3)
    content = json.loads(report.to_json())
    assert content["passed"] is False
    assert content["seed"] == 3
    assert content["errors"] == {"window": {"float32": None}}
    assert content["comparisons"][0]["max_rel"] is None
    assert content["comparisons"][0]["detail"] == "no such output"
    assert content["comparisons"][0]["image_px"] == [64, 128]
    assert "no such output" in str(report)


def test_many_failures_are_counted():
    text = str(VerifyReport("image crops", (make_comparison("image crops", 1e-2),) * 11))
    assert text.count("failed:") == 8
    assert "and 3 more comparisons failed; the JSON has them all" in text
