"""What was measured of runtimes, and which one was chosen for it."""

from __future__ import annotations

from dataclasses import dataclass

from fullyconv.grid import Pair, format_size
from fullyconv.runtime.specification import Runtime

EXACT_ERROR = 1e-4
"""Of logits, relative to the largest, where every runtime computes in float32. Sums in another order move those of
deep networks by up to some 1e-5; arithmetic with the 8 or 10 bits of bfloat16 or TF32 moves them by 1e-3 and more."""

FAST_ERROR = 2e-2
"""Of logits, relative to the largest, where bfloat16 and float16 are allowed: about what bfloat16 does."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How one runtime did.

    Attributes:
        runtime: which.
        seconds: the median of its runs, None where it was not timed.
        error: the largest difference of its logits from those of the network as it is, relative to the largest of
            those; None where it did not run.
        problem: why it was dropped, "" where it was not.
    """

    runtime: Runtime
    seconds: float | None = None
    error: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runtime a network runs on, and why; prints as one line.

    Attributes:
        runtime: the one.
        reason: why, in words, where it is no measurement.
        trials: what was measured, plain torch or onnxruntime first.
        image_px: the `(height, width)` it was measured on.
        max_error: what was allowed.
        is_remembered: whether all this was measured earlier.
    """

    runtime: Runtime
    reason: str = ""
    trials: tuple[Trial, ...] = ()
    image_px: Pair | None = None
    max_error: float = EXACT_ERROR
    is_remembered: bool = False

    @property
    def error(self) -> float | None:
        """How far the chosen runtime's logits are from those of the network as it is; None where nobody measured."""
        return next((trial.error for trial in self.trials if trial.runtime == self.runtime), None)

    def __str__(self) -> str:
        parts = [f"runtime: {self.runtime}{self._describe_reason()}", self._describe_error(), self._list_others()]
        return "; ".join(part for part in (*parts, self._list_dropped()) if part)

    def _describe_reason(self) -> str:
        timed = {trial.runtime: trial.seconds for trial in self.trials if trial.seconds is not None}
        seconds, first = timed.get(self.runtime), next(iter(timed.items()), None)
        if seconds is None or first is None or self.image_px is None:
            return f", {self.reason}" if self.reason else ""
        place = f"{_write(seconds)} for {format_size(self.image_px)}"
        told = f", {place}" if first[0] == self.runtime else (
            f", {place} against {_write(first[1])} on {first[0]} ({first[1] / seconds:.1f} times as fast)"
        )  # fmt: skip
        return f"{told}, measured earlier" if self.is_remembered else told

    def _describe_error(self) -> str:
        error = self.error
        return f"logits within {error:.0e} (allowed {self.max_error:.0e})" if error else ""

    def _list_others(self) -> str:
        timed = [trial for trial in self.trials if trial.seconds is not None]
        others = [trial for trial in timed[1:] if trial.runtime != self.runtime]  # the first is told already
        listed = ", ".join(f"{trial.runtime} {_write(trial.seconds or 0.0)}" for trial in others)
        return f"slower: {listed}" if listed and self.image_px else ""

    def _list_dropped(self) -> str:
        problems: dict[str, list[str]] = {}
        for trial in self.trials:
            if trial.problem:
                problems.setdefault(trial.problem, []).append(str(trial.runtime))
        dropped = [f"{', '.join(names)} ({problem})" for problem, names in problems.items()]
        return f"dropped: {', '.join(dropped)}" if dropped else ""


def _write(seconds: float) -> str:
    return f"{seconds:.3g} s"
