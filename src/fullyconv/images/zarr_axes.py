"""Which axes of an array of zarr are rows, columns and channels, and how large its pixels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fullyconv.errors import ImageError
from fullyconv.grid import Pair
from fullyconv.images.source import PerPixel

# UDUNITS-2 names of lengths, as NGFF has them, in micrometres.
_MICRONS = {
    "meter": 1e6, "centimeter": 1e4, "millimeter": 1e3, "micrometer": 1.0, "nanometer": 1e-3,
    "angstrom": 1e-4, "picometer": 1e-6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Axes:
    """Where an array's rows, columns and channels lie.

    Attributes:
        y: the axis of rows.
        x: the axis of columns.
        channel: the axis of channels; None where there is none.
        count: of all axes; those not named have one element.
    """

    y: int
    x: int
    channel: int | None
    count: int

    def index(self, origin_yx: Pair, size: Pair, *, channels: slice) -> tuple[int | slice, ...]:
        """Returns what cuts a region out of the array, and the only element of any other axis."""
        index: list[int | slice] = [0] * self.count
        index[self.y] = slice(origin_yx[0], origin_yx[0] + size[0])
        index[self.x] = slice(origin_yx[1], origin_yx[1] + size[1])
        if self.channel is not None:
            index[self.channel] = channels
        return tuple(index)

    def order(self) -> tuple[int, ...]:
        """Returns how to transpose what `index` cuts out to `(height, width[, channels])`."""
        kept = sorted(axis for axis in (self.y, self.x, self.channel) if axis is not None)
        wanted = [self.y, self.x] if self.channel is None else [self.y, self.x, self.channel]
        return tuple(kept.index(axis) for axis in wanted)


def find_axes(name: str, names: Sequence[str | None], shape: Sequence[int]) -> Axes:
    """Returns where rows, columns and channels lie, by the axes' names.

    Raises:
        ImageError: there are no rows or columns; or the array is a stack along another axis.
    """
    known = [str(label).lower() for label in names]
    if len(known) != len(shape) or known.count("y") != 1 or known.count("x") != 1:
        raise ImageError(f"{name}: expected axes with y and x, got {list(names)} for {tuple(shape)}; rename them")
    counted = {
        label: size for label, size in zip(known, shape, strict=True) if label not in ("c", "y", "x") and size > 1
    }
    if counted:
        planes = ", ".join(f"{size} along {label}" for label, size in counted.items())
        raise ImageError(
            f"{name}: expected one plane, got {planes}; save the plane that is meant as an image of its own"
        )
    return Axes(known.index("y"), known.index("x"), known.index("c") if "c" in known else None, len(shape))


def guess_names(shape: Sequence[int]) -> tuple[str, ...]:
    """Returns the axes of a plain array without names: `(y, x)` or `(y, x, c)`; none for others."""
    return {2: ("y", "x"), 3: ("y", "x", "c")}.get(len(shape), ())


def read_microns(multiscale: Mapping[str, Any], axes: Axes) -> PerPixel | None:
    """Returns the micrometres per pixel `(y, x)` of an NGFF image's first level; None where it does not say."""
    scale = [1.0] * axes.count
    for transform in (*multiscale["datasets"][0].get("coordinateTransformations", ()), *_get_common(multiscale)):
        if transform.get("type") == "scale":
            scale = [before * float(factor) for before, factor in zip(scale, transform["scale"], strict=True)]
    units = [_MICRONS.get(str(axis.get("unit"))) for axis in multiscale["axes"] if isinstance(axis, Mapping)]
    if len(units) != axes.count:
        return None
    y, x = units[axes.y], units[axes.x]
    return None if y is None or x is None else (scale[axes.y] * y, scale[axes.x] * x)


def _get_common(multiscale: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    common: Sequence[Mapping[str, Any]] = multiscale.get("coordinateTransformations", ())
    return common
