"""What a value of the classifier is in the dense network: a map, and how the value's axes lie on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from fullyconv.analyze.factors import Axes, Axis, Factor, Kind, flatten, measure, select
from fullyconv.analyze.geometry import Line
from fullyconv.analyze.plan import AffineFold, Layout
from fullyconv.graph import Pair, Shape


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule does not apply; the operation then runs on windows.

    Attributes:
        reason: for the report.
        statistics: whose statistics of the window would make it local if they slid (a local approximation): its
            own, or those that its inputs come from; "" if none would.
    """

    reason: str
    statistics: Literal["", "own", "inputs"] = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A value that depends on each window in the same way, wherever the window lies.

    The dense tensor is `(N, C, H, W)`: the window at grid cell `(i, j)` sees `extent` cells from `(i, j)` times
    the step on. Its channels are the product of `channels`, in that order; the value's own axes hold the same
    factors, and Y and X, in any order.

    Attributes:
        tensor: the dense tensor.
        axes: the value's axes.
        channels: the dense tensor's channel factors, outermost first.
        y: rows.
        x: columns.
        in_head: whether it depends on an operation over the window, so that borders are window borders.
        bins: an adaptive average pooling not yet done: Y and X count bins then, and the tensor is before it.
        affine: per-position scales and shifts not yet done.
        parts: vectors joined one after the other that lie on maps of different kinds; there is no dense tensor
            for them, only a linear layer can read them.
        is_spread: whether it is a statistic of the window around each cell of a map, with a value for each cell
            although the value's axes have neither Y nor X (a local approximation).
    """

    tensor: str
    axes: Axes
    channels: Axis
    y: Line
    x: Line
    in_head: bool = False
    bins: Pair | None = None
    affine: tuple[AffineFold, ...] = ()
    parts: tuple[Field, ...] = ()
    is_spread: bool = False

    @property
    def extent(self) -> Pair:
        """Cells that one window covers."""
        return self.y.extent, self.x.extent

    @property
    def stride(self) -> Pair:
        """Pixels between neighbouring cells."""
        return self.y.stride, self.x.stride

    @property
    def period(self) -> Pair:
        """Pixels between neighbouring windows for which the value is made by the same network."""
        return self.y.period, self.x.period

    @property
    def is_folded(self) -> bool:
        """Whether a reshape folded rows or columns into channels somewhere before."""
        return self.y.is_folded or self.x.is_folded

    @property
    def shape(self) -> Shape:
        """The value's shape at window size."""
        return measure(self.axes)

    @property
    def is_settled(self) -> bool:
        """Whether the dense tensor holds the value itself."""
        return self.bins is None and not self.affine and not self.parts

    @property
    def logical_channels(self) -> Axis:
        """The channel factors in the order of the value's axes."""
        return select(flatten(self.axes), Kind.CHANNEL)

    @property
    def is_window_vector(self) -> bool:
        """Whether one window covers one cell."""
        return self.extent == (1, 1)

    def find_axis(self, kind: Kind) -> int | None:
        """Returns the axis that consists of Y or of X alone, None if there is none."""
        places = [i for i, axis in enumerate(self.axes) if len(axis) == 1 and axis[0].kind is kind]
        return places[0] if places else None

    def is_channel_axis(self, axis: int) -> bool:
        """Returns whether an axis holds all channels and nothing else; of a single channel, an axis of size 1."""
        return set(self.axes[axis]) == set(self.channels)

    def is_standard(self) -> bool:
        """Returns whether the value is a map `(N, C, H, W)`."""
        if len(self.axes) != 4 or select(flatten(self.axes[2:]), Kind.CHANNEL, Kind.BATCH):
            return False
        kinds = [{factor.kind for factor in axis} for axis in self.axes]
        allowed = ({Kind.BATCH}, {Kind.CHANNEL}, {Kind.Y}, {Kind.X})
        return all(found <= wanted for found, wanted in zip(kinds, allowed, strict=True))

    def may_span_window(self, axes: Iterable[int]) -> bool:
        """Returns whether one of some axes may be rows or columns of which a window has one.

        What works along such an axis does nothing within a window, but belongs to the head: on a larger image the
        classifier would do it over all cells.
        """
        places = [axis for axis in axes if axis > 1 or not self.is_standard()]
        return 1 in self.extent and any(not self.axes[axis] for axis in places)

    def with_axes(self, axes: Axes) -> Field:
        """Returns the same map with other axes."""
        return replace(self, axes=axes)


def layout_for(field: Field, shape: Shape, offset: int = 0) -> Layout:
    """Returns how a constant that meets the value becomes `(C, fh, fw)`, in the dense tensor's channel order.

    Args:
        field: the value that the constant is broadcast against.
        shape: the constant's shape, broadcast to the value's axes from `offset` on; sizes of 1 stay 1.
        offset: the value's first axis that `shape` speaks of.
    """
    view: list[int] = []
    factors: list[Factor] = []
    for size, axis in zip(shape, field.axes[offset:], strict=True):
        if not axis:
            view.append(1)
            factors.append(Factor(Kind.BATCH, 1))  # an axis of size 1: a place to be dropped
        for factor in axis:
            view.append(factor.size if size > 1 else 1)
            factors.append(factor)
    wanted = [*field.channels, *(f for kind in (Kind.Y, Kind.X) for f in select(tuple(factors), kind))]
    order = [factors.index(factor) for factor in wanted if factor in factors]
    rest = [i for i in range(len(factors)) if i not in order]
    varies = {kind: any(view[i] > 1 for i in order if factors[i].kind is kind) for kind in Kind}
    full = [factors[i].size if varies[factors[i].kind] else 1 for i in order]
    final = [_product(full, order, factors, kind) for kind in (Kind.CHANNEL, Kind.Y, Kind.X)]
    return Layout(tuple(view), (*rest, *order), (*(1 for _ in rest), *full), tuple(final))


def _product(full: list[int], order: list[int], factors: list[Factor], kind: Kind) -> int:
    result = 1
    for size, place in zip(full, order, strict=True):
        if factors[place].kind is kind:
            result *= size
    return result


def replace_factors(axes: Axes, old: Axis, new: Axis) -> Axes:
    """Returns the axes with the first of `old` replaced by `new` and the others dropped."""
    return tuple(
        tuple(f for factor in axis for f in ((new if factor == old[0] else ()) if factor in old else (factor,)))
        for axis in axes
    )


def drop_factors(axes: Axes, kinds: tuple[Kind, ...]) -> Axes:
    """Returns the axes without the factors of some kinds."""
    return tuple(tuple(factor for factor in axis if factor.kind not in kinds) for axis in axes)


def make_map_axes(batch: Axis, channels: Axis, size: Pair) -> Axes:
    """Returns the axes `(N, C, H, W)` of a map of `size` cells."""
    y, x = ((Factor(kind, cells),) if cells > 1 else () for kind, cells in zip((Kind.Y, Kind.X), size, strict=True))
    return batch, channels, y, x
