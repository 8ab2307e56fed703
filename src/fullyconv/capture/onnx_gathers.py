"""ONNX choices by tables of places, where they are choices along one axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fullyconv.capture.onnx_operations import Array, Normal, OnnxUse
from fullyconv.graph import Gather, Identity


def _gather_many(use: OnnxUse) -> Normal:
    """Tables whose entries name places of one axis; refused: of several, or other ones for each of a batch."""
    table, batch_axes = use.read(1), use.get("batch_dims", 0)
    if table is None or table.shape[-1:] != (1,):
        return None
    rows = table.reshape(*table.shape[:batch_axes], -1)
    if table.ndim != batch_axes + 2 or not _repeats(rows):
        return None
    return _along(use, batch_axes, rows.reshape(-1, rows.shape[-1])[0])


def _gather_elements(use: OnnxUse) -> Normal:
    """The same numbers everywhere are a choice along the axis; refused: any others, and a part of other axes."""
    table, axis = use.read(1), use.axis(use.get("axis", 0))
    if table is None:
        return None
    rows = table.swapaxes(axis, -1)
    others = [place for place in range(table.ndim) if place != axis]
    if any(table.shape[place] != use.shape()[place] for place in others) or not _repeats(rows):
        return None
    return _along(use, axis, rows.reshape(-1, rows.shape[-1])[0])


def _repeats(rows: Array) -> bool:
    """Returns whether all rows of the last axis are the same, and there are any."""
    flat = rows.reshape(-1, rows.shape[-1]) if rows.size else rows
    return bool(rows.size) and bool((flat == flat[0]).all())


def _along(use: OnnxUse, axis: int, places: Array) -> Normal:
    size = use.shape()[axis]
    chosen = tuple(int(place) % size for place in places)
    return (Identity() if chosen == tuple(range(size)) else Gather(axis, chosen)), use.inputs[:1]


GATHERS: Mapping[str, Callable[[OnnxUse], Normal]] = {"GatherND": _gather_many, "GatherElements": _gather_elements}
