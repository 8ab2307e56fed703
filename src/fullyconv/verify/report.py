"""What a check found, for people and for machines."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fullyconv.grid import format_size
from fullyconv.verify.comparison import Comparison
from fullyconv.verify.fidelity import Fidelity
from fullyconv.verify.meaning import explain

# A finer grid is compared shift by shift, and nobody reads fifty lines that say the same.
_MOST_FAILURES = 8


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Whether a converted network equals the original, and how far it is from it.

    Attributes:
        guarantee: what was promised: "image crops", or "feature windows" alone; an "approximation" equals
            the original on images of one window and promises nothing beyond.
        comparisons: every comparison made.
        fidelity: where only feature windows are promised, the distance from pixel crops; for an approximation
            also from the network without it.
        notes: what could not be checked or not as strictly, and why; empty if all was.
        seed: of the random images and of the choice of windows.
        border: where the network's padding was while distances were measured.
        runtime: what ran the network, and in which number type, where that was not the network as it is.
    """

    guarantee: str
    comparisons: tuple[Comparison, ...]
    fidelity: tuple[Fidelity, ...] = ()
    notes: tuple[str, ...] = ()
    seed: int = 0
    border: str = "image"
    runtime: str = ""

    @property
    def meaning(self) -> str | None:
        """What the distance from crops means for a heat map, in a sentence; None where none was measured."""
        return explain(self.fidelity, "approximation" if self.guarantee == "approximation" else self.border)

    @property
    def passed(self) -> bool:
        """Whether there was something to compare and every comparison passed.

        An approximation passes where it equals the original on images of one window, and runs on larger ones.
        """
        return bool(self.comparisons) and all(comparison.passed for comparison in self.comparisons)

    @property
    def checked_beyond_window(self) -> bool:
        """Whether any image larger than the window was compared."""
        return any(comparison.guarantee != "window" for comparison in self.comparisons)

    @property
    def errors(self) -> dict[str, dict[str, float]]:
        """The largest relative error by guarantee and number type: `errors["image crops"]["float64"]`."""
        errors: dict[str, dict[str, float]] = {}
        for comparison in self.comparisons:
            by_dtype = errors.setdefault(comparison.guarantee, {})
            by_dtype[comparison.dtype] = max(by_dtype.get(comparison.dtype, 0.0), comparison.max_rel)
        return errors

    def to_json(self) -> str:
        """Returns the report as JSON; infinities, which JSON does not have, become null."""
        content = {"passed": self.passed, "errors": self.errors, "meaning": self.meaning, **dataclasses.asdict(self)}
        return json.dumps(_make_finite(content), indent=2)

    def __str__(self) -> str:
        return "\n".join(_write_lines(self))


def _write_lines(report: VerifyReport) -> Iterator[str]:
    verdict = "passed" if report.passed else "FAILED"
    if report.guarantee == "approximation":
        equal = "equal on images of one window; on larger ones it is an approximation, whose distance follows"
        verdict = equal if report.passed else "FAILED"
    elif report.passed and not report.checked_beyond_window:
        verdict = "passed at window size only; nothing larger could be checked"
    runs = ", by each of the runs that border first-order sums" if report.border == "first-order" else ""
    runtime = f"; {report.runtime}" if report.runtime else ""
    yield f"{verdict} (promised: {report.guarantee}{runs}{runtime}; seed {report.seed})"
    for guarantee, dtype in dict.fromkeys((item.guarantee, item.dtype) for item in report.comparisons):
        yield _summarise([item for item in report.comparisons if (item.guarantee, item.dtype) == (guarantee, dtype)])
    failed = [item for item in report.comparisons if not item.passed]
    yield from (f"  failed: {_describe(item)}" for item in failed[:_MOST_FAILURES])
    if len(failed) > _MOST_FAILURES:
        yield f"  and {len(failed) - _MOST_FAILURES} more comparisons failed; the JSON has them all"
    yield from (f"  distance from {item.reference}: {_describe_fidelity(item)}" for item in report.fidelity)
    if report.meaning:
        yield f"  {report.meaning}"
    yield from (f"  note: {note}" for note in report.notes)


def _summarise(comparisons: list[Comparison]) -> str:
    worst = max(comparisons, key=lambda item: item.max_rel / item.tolerance)
    cells = sum(item.cells for item in comparisons if item.quantity == "scores")
    verdict = "equal" if all(item.passed for item in comparisons) else "NOT EQUAL"
    return (
        f"  {worst.guarantee:15} {worst.dtype}  {verdict:9}  relative error {worst.max_rel:.1e} "
        f"(allowed {worst.tolerance:.0e}), {cells} windows"
    )


def _describe(item: Comparison) -> str:
    place = f"{item.guarantee}, {item.dtype}, {item.output} ({item.quantity}), {item.image}"
    if item.detail:
        return f"{place}: {item.detail}"
    return f"{place} {format_size(item.image_px)}: relative error {item.max_rel:.1e} at cell {item.worst_cell}"


def _describe_fidelity(item: Fidelity) -> str:
    correlation = "-" if item.correlation is None else f"{item.correlation:.3f}"
    top1 = "-" if item.top1_agreement is None else f"{item.top1_agreement:.0%}"
    return (
        f"{item.output}, {item.image} {format_size(item.image_px)}, {item.cells} windows: difference at most "
        f"{item.max_difference:.3g}, mean {item.mean_difference:.3g}, correlation {correlation}, "
        f"same class {top1}; worst {_describe_worst(item)}"
    )


def _describe_worst(item: Fidelity) -> str:
    x0, y0, x1, y1 = item.worst_box_xyxy
    window = f"in the window x {x0}-{x1}, y {y0}-{y1}"
    return f"{window}, and at the {item.worst_part} of the image" if item.worst_part else window


def _make_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _make_finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_make_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
