"""What a distance from crops means for somebody who reads a heat map."""

from __future__ import annotations

from collections.abc import Sequence

from fullyconv.verify.fidelity import Fidelity

# Correlations of logits. With 0.9, four fifths of what varies in one map varies in the other (0.9 squared); with
# 0.5, one quarter: less than that, and most of what is seen has another cause.
_ALIKE, _RELATED = 0.9, 0.5

_NEARER = {
    "image": "border first-order comes nearer, border window gives the crops' own scores",
    "first-order": "border window gives the crops' own scores",
    "approximation": "converted without the approximation it comes nearer",
}


def explain(fidelity: Sequence[Fidelity], cause: str) -> str | None:
    """Returns in a sentence what the distance from crops means for a heat map; None if none was measured.

    Args:
        fidelity: measurements; those whose reference is not crops are passed over.
        cause: where the network's padding is, or "approximation".
    """
    found = [item for item in fidelity if item.reference == "crops"]
    if not found:
        return None
    correlation = _average([(item.correlation, item.cells) for item in found])
    return f"for a heat map: {_judge(found, correlation, cause)}"


def _judge(found: Sequence[Fidelity], correlation: float | None, cause: str) -> str:
    moved = _average([(item.moved_difference, item.cells) for item in found])
    mean = _average([(item.mean_difference, item.cells) for item in found]) or 0.0
    pixels = f"{found[0].moved_px} pixel{'s' if found[0].moved_px > 1 else ''}"
    step = ""
    if moved is not None and moved > 0:
        if mean <= moved:
            return (
                f"it is nearer to crops than crops moved by {pixels} are, {mean / moved:.1f} of that distance; "
                "read it as a map of crop scores"
            )
        step = f"it is {mean / moved:.1f} times as far from crops as crops moved by {pixels} are; "
    if correlation is None or correlation >= _ALIKE:
        return f"{step}peaks lie where crops have them, but values differ: choose thresholds on this map, not on crops"
    if correlation >= _RELATED:
        return f"{step}it shows roughly where crops score high, not how high, and some peaks differ; {_NEARER[cause]}"
    return f"{step}do not read it as a map of crop scores; {_NEARER[cause]}"


def _average(values: Sequence[tuple[float | None, int]]) -> float | None:
    """Returns the mean by number of windows of what is known."""
    known = [(value, cells) for value, cells in values if value is not None]
    return sum(value * cells for value, cells in known) / sum(cells for _, cells in known) if known else None
