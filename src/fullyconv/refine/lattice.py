"""Where the cells of fragments lie, along one axis: pure integers.

A map whose cells lie `stride` pixels apart serves windows that begin at multiples of its `period`. For windows at
multiples of a finer `step` it takes as many fragments as there are such multiples within the period: the fragment at
`offset` is the map that the network makes of the image from pixel `offset` on. So

    period 4, step 1:   pixels     0 1 2 3 4 5 6 7 8
                        fragments  0 1 2 3 0 1 2 3 0

Sources: shifted inputs from OverFeat (Sermanet et al. 2014); fragments from Giusti et al. (2013), who describe them
for max pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, lcm


class UnreachableError(ValueError):
    """Fragments of an operation do not lie at the multiples of the step."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """The cells of a map along one axis, all in pixels.

    Attributes:
        stride: between neighbouring cells of one fragment.
        period: windows that begin at multiples of it are served by one fragment.
    """

    stride: int = 1
    period: int = 1

    def join(self, other: Lattice) -> Lattice:
        """Returns that of a map made of two maps with cells at the same places."""
        return Lattice(self.stride, lcm(self.period, other.period))

    def locate(self, offset: int) -> tuple[int, int]:
        """Returns the fragment that serves windows beginning at `offset`, and from which of its cells on.

        >>> Lattice(stride=4, period=8).locate(17)
        (1, 4)
        """
        return offset % self.period, (offset - offset % self.period) // self.stride


@dataclass(frozen=True, slots=True)
class Split:
    """How an operation that slides becomes fragments along one axis.

    Attributes:
        before: the lattice of what it reads.
        after: that of what it makes.
        factor: fragments for each one that it reads.
        phase_px: how far apart they begin, in pixels.
        phase_cells: the same in cells of what it reads.
    """

    before: Lattice
    after: Lattice
    factor: int
    phase_px: int
    phase_cells: int


def split_axis(before: Lattice, stride: int, finer: int, step: int) -> Split:
    """Returns what becomes of an operation with a stride, or one that makes cells finer, for windows at `step`.

    >>> split_axis(Lattice(), 4, 1, 2)
    Split(before=Lattice(stride=1, period=1), after=Lattice(stride=4, period=4), factor=2, phase_px=2, phase_cells=2)

    Raises:
        UnreachableError: the step takes a part of the fragments that came before, and not all.
    """
    cells = before.stride * stride // finer
    after = Lattice(cells, lcm(before.period, cells))
    near, far = gcd(before.period, step), gcd(after.period, step)  # pixels between fragments
    factor, rest = divmod(after.period * near, before.period * far)
    is_first = near == before.period
    if rest or (not is_first and near != far):
        raise UnreachableError(f"{step} px: not reached by fragments {near} px apart")
    if factor == 1:
        return Split(before, after, 1, after.period, stride)
    phase_px = far if is_first else before.period
    if phase_px % before.stride or phase_px // before.stride * factor != stride:
        raise UnreachableError(f"{step} px: fragments would lie {phase_px} px apart on cells of {before.stride} px")
    return Split(before, after, factor, phase_px, phase_px // before.stride)
