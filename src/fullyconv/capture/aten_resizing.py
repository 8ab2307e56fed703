"""ATen's changes of size, in normalised form: one short function for each, in one table.

What a resizing says about sizes was baked at window size; what counts is how many cells one cell becomes there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch.nn import functional as F

from fullyconv.capture.aten_operations import Normal, Use
from fullyconv.graph import Pair, Upsample

Kind = Literal["nearest", "linear", "cubic"]


def _nearest(mode: str) -> Callable[[Use], Normal]:
    def normalise(use: Use) -> Normal:
        times = _count_cells(use)
        return _upsample(use, "nearest", times if times and _repeats(use, mode, times) else None)

    return normalise


def _interpolate(kind: Kind) -> Callable[[Use], Normal]:
    def normalise(use: Use) -> Normal:
        return _upsample(use, kind, None if use["align_corners"] else _count_cells(use))

    return normalise


def _upsample(use: Use, kind: Kind, times: Pair | None) -> Normal:
    return Upsample(kind, times), use.names("self" if "self" in use.arguments else "input")


def _count_cells(use: Use) -> Pair | None:
    """Returns how many cells each cell becomes; None where that is no whole number, or no cell's own.

    A factor may be given that is not the quotient of the sizes, which are rounded; new cells then lie by the factor.
    """
    before, after = _find_sizes(use)
    rows, columns = (new // old for old, new in zip(before, after, strict=True))
    if (before[0] * rows, before[1] * columns) != after:
        return None
    fits = all(factor in (None, cells) for factor, cells in zip(_find_factors(use), (rows, columns), strict=True))
    return (rows, columns) if fits else None


def _find_sizes(use: Use) -> tuple[Pair, Pair]:
    before = use.shape("self" if "self" in use.arguments else "input")[2:]
    after = use.output_shapes[0][2:]
    return (before[0], before[1]), (after[0], after[1])


def _find_factors(use: Use) -> tuple[float | None, float | None]:
    """Returns the factors that are given, None where the sizes say them."""
    given: Any = use.arguments.get("scale_factors")
    if given:
        return given[0], given[1]
    return use.arguments.get("scales_h"), use.arguments.get("scales_w")


def _repeats(use: Use, mode: str, times: Pair) -> bool:
    """Returns whether the operation gives each new cell the value of the cell that it lies in.

    ATen divides in float32, which for some factors, such as 41, ends in the cell before. So it is tried out.
    """
    for cells, size in zip(times, _find_sizes(use)[0], strict=True):
        ramp = torch.arange(size, dtype=torch.float32).view(1, 1, -1, 1)
        if not torch.equal(F.interpolate(ramp, (cells * size, 1), mode=mode), ramp.repeat_interleave(cells, 2)):
            return False
    return True


RESIZINGS: Mapping[str, Callable[[Use], Normal]] = {
    "upsample_nearest2d": _nearest("nearest"),
    "_upsample_nearest_exact2d": _nearest("nearest-exact"),
    "upsample_bilinear2d": _interpolate("linear"),
    "upsample_bicubic2d": _interpolate("cubic"),
}
