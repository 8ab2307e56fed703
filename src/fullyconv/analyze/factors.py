"""Book-keeping of axes: each axis of a tensor is an ordered product of factors.

Transposing, reshaping, flattening and squeezing only re-order factors, so NCHW, NHWC and every flatten order
are one case. Axes of size 1 have no factors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain
from math import prod

from fullyconv.graph import Shape


class Kind(Enum):
    """What a factor counts."""

    BATCH = "batch"
    CHANNEL = "channel"
    Y = "y"
    X = "x"


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of an axis.

    Attributes:
        kind: what it counts.
        size: at window size, at least 2.
        serial: tells channel factors apart; a part of a split factor extends its whole's serial.
        is_folded: whether it counts cells that a reshape folded into channels.
    """

    kind: Kind
    size: int
    serial: tuple[int, ...] = ()
    is_folded: bool = False


Axis = tuple[Factor, ...]
Axes = tuple[Axis, ...]


def flatten(axes: Axes) -> Axis:
    """Returns the factors of all axes in row-major order."""
    return tuple(chain.from_iterable(axes))


def measure(axes: Axes) -> Shape:
    """Returns the shape that the axes have at window size."""
    return tuple(prod(factor.size for factor in axis) for axis in axes)


def select(factors: Axis, *kinds: Kind) -> Axis:
    """Returns the factors of some kinds, in order."""
    return tuple(factor for factor in factors if factor.kind in kinds)


@dataclass(frozen=True, slots=True)
class Regrouping:
    """The result of a reshape.

    Attributes:
        axes: the new axes.
        splits: channel factors that were split, each with its parts in order.
        folds: Y or X that was split, each with its two parts: fewer cells, and a channel factor that counts the
            cells that one of them is made of.
    """

    axes: Axes
    splits: tuple[tuple[Factor, Axis], ...]
    folds: tuple[tuple[Factor, Axis], ...] = ()


def regroup(axes: Axes, shape: Shape, serial: int = 0) -> Regrouping | None:
    """Returns the axes after a reshape to `shape`, or None where it would split the batch, or split unevenly.

    Args:
        axes: before the reshape.
        shape: after it.
        serial: tells the channel factors that come of Y and X apart from those of other reshapes.

    >>> c, y, x = Factor(Kind.CHANNEL, 6), Factor(Kind.Y, 2), Factor(Kind.X, 4)
    >>> measure(regroup(((c,), (y,), (x,)), (48,)).axes)
    (48,)
    >>> measure(regroup(((c,), (y,), (x,)), (2, 3, 8)).axes)
    (2, 3, 8)
    >>> [factor.kind.value for factor in flatten(regroup(((c,), (y,), (x,)), (6, 2, 2, 2)).axes)]
    ['channel', 'y', 'x', 'channel']
    >>> regroup(((c,), (y,), (x,)), (4, 3, 2, 2)) is None
    True
    """
    waiting = list(flatten(axes))
    splits: dict[Factor, Axis] = {}
    result = []
    for size in shape:
        axis: list[Factor] = []
        missing = size
        while missing > 1:
            factor = waiting.pop(0)
            if missing % factor.size:
                parts = _split(factor, missing, serial)
                if parts is None:
                    return None
                splits[factor] = parts
                factor, rest = parts
                waiting.insert(0, rest)
            axis.append(factor)
            missing //= factor.size
        result.append(tuple(axis))
    folds = tuple(pair for pair in splits.items() if pair[0].kind is not Kind.CHANNEL)
    channels = {factor: parts for factor, parts in splits.items() if factor.kind is Kind.CHANNEL}
    return Regrouping(tuple(result), tuple(_resolve(channels)), folds)


def _split(factor: Factor, first: int, serial: int) -> tuple[Factor, Factor] | None:
    if factor.kind is Kind.BATCH or factor.size % first:
        return None
    sizes = (first, factor.size // first)
    if factor.kind is not Kind.CHANNEL:
        place = 0 if factor.kind is Kind.Y else 1
        return Factor(factor.kind, sizes[0]), Factor(Kind.CHANNEL, sizes[1], (serial, place), is_folded=True)
    outer, inner = (replace(factor, size=size, serial=(*factor.serial, i)) for i, size in enumerate(sizes))
    return outer, inner


def _resolve(splits: dict[Factor, Axis]) -> list[tuple[Factor, Axis]]:
    """Replaces parts that were split again by their own parts, down to the last."""

    def expand(factor: Factor) -> Axis:
        return flatten(tuple(expand(part) for part in splits[factor])) if factor in splits else (factor,)

    return [(factor, expand(factor)) for factor in splits]
