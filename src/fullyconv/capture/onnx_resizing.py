"""The ONNX operator Resize, in normalised form, https://onnx.ai/onnx/operators/onnx__Resize.html.

What it says about sizes was baked at window size; what counts is how many cells one cell becomes there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fullyconv.capture.onnx_operations import Normal, OnnxUse
from fullyconv.graph import Identity, Pair, Upsample

Kind = Literal["nearest", "linear", "cubic"]
_KINDS: Mapping[str, Kind] = {"nearest": "nearest", "linear": "linear", "cubic": "cubic"}

# Where new cell i lies among the old ones, of which each becomes s. PyTorch's is the same for more than one new cell.
_PLACES: Mapping[str, Callable[[NDArray[np.float64], int], NDArray[np.float64]]] = {
    "asymmetric": lambda i, s: i / s,
    "half_pixel": lambda i, s: (i + 0.5) / s - 0.5,
    "pytorch_half_pixel": lambda i, s: (i + 0.5) / s - 0.5,
}

_ROUNDINGS: Mapping[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda place: np.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: np.floor(place + 0.5),
}


def _resize(use: OnnxUse) -> Normal:
    """Where it changes no size it changes nothing, whatever it interpolates by, unless of a region of interest."""
    places = use.get("coordinate_transformation_mode", "half_pixel")
    if use.output_shapes[0] == use.shape() and places != "tf_crop_and_resize":
        return Identity(), use.inputs[:1]
    kind = _KINDS[use.get("mode", "nearest")]
    times = _count_cells(use)
    if times is None or not (_repeats(use, places, times) if kind == "nearest" else _interpolates(use, places, kind)):
        return Upsample(kind, None), use.inputs[:1]
    return Upsample(kind, times), use.inputs[:1]


def _count_cells(use: OnnxUse) -> Pair | None:
    """Returns how many cells each cell becomes; None where that is no whole number, or other axes change."""
    before, after, given = use.shape(), use.output_shapes[0], use.read(2)
    is_plain = not use.get("antialias", 0) and use.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    if len(before) != 4 or before[:2] != after[:2] or not is_plain:
        return None
    rows, columns = after[2] // before[2], after[3] // before[3]
    if (before[2] * rows, before[3] * columns) != after[2:]:
        return None
    axes = [use.axis(axis) for axis in use.get("axes", (0, 1, 2, 3))]
    factors = [(1, 1, rows, columns)[axis] for axis in axes]
    if given is None or not given.size:
        return (rows, columns) if use.is_constant_or_missing(2) else None
    return (rows, columns) if given.tolist() == factors else None


def _repeats(use: OnnxUse, places: str, times: Pair) -> bool:
    """Returns whether each new cell has the value of the cell that it lies in."""
    rounding = _ROUNDINGS[use.get("nearest_mode", "round_prefer_floor")]
    if places not in _PLACES:
        return False
    for size, cells in zip(use.output_shapes[0][2:], times, strict=True):
        new = np.arange(size)
        nearest = np.clip(rounding(_PLACES[places](new.astype(np.float64), cells)), 0, size // cells - 1)
        if not np.array_equal(nearest, new // cells):
            return False
    return True


def _interpolates(use: OnnxUse, places: str, kind: Kind) -> bool:
    """Returns whether it interpolates as PyTorch does: by its coefficients, the nearest cell beyond the border."""
    is_usual = kind == "linear" or use.get("cubic_coeff_a", -0.75) == -0.75
    return places in ("half_pixel", "pytorch_half_pixel") and is_usual and not use.get("exclude_outside", 0)


RESIZINGS: Mapping[str, Callable[[OnnxUse], Normal]] = {"Resize": _resize}
