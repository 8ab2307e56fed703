"""What a network on a finer grid must be so that it has an ONNX form: decided before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import gcd

from fullyconv.analyze.plan import Cut
from fullyconv.errors import ModelError
from fullyconv.graph import Pair
from fullyconv.refine.lattice import Lattice

Lattices = tuple[Lattice, Lattice]

_ADVICE = "save the network as .pt2, or choose a coarser stride"


def check_scores(lattices: Mapping[str, Lattices], outputs: Iterable[str], step: Pair) -> None:
    """Checks that neighbouring scores lie in neighbouring fragments.

    Raises:
        ModelError: they do not.
    """
    for name in outputs:
        for lattice, size in zip(lattices[name], step, strict=True):
            if lattice.stride != lattice.period or lattice.period % size:
                raise ModelError(f"{name}: no ONNX form at this stride: its cells lie closer than scores; {_ADVICE}")


def loosen_cuts(cuts: tuple[Cut, ...], lattices: Mapping[str, Lattices], step: Pair) -> tuple[Cut, ...]:
    """Returns where windows are cut that lie closer together, from maps whose fragments lie in one another.

    Raises:
        ModelError: neighbouring cells of a map in fragments do not lie in neighbouring ones.
    """
    return tuple(_loosen(cut, lattices[cut.tensor], step) for cut in cuts)


def _loosen(cut: Cut, lattices: Lattices, step: Pair) -> Cut:
    rows, columns = (_find_hole(cut.value, lattice, size) for lattice, size in zip(lattices, step, strict=True))
    apart = [lattice.stride // hole for lattice, hole in zip(lattices, (rows, columns), strict=True)]
    return replace(cut, step=(step[0] // apart[0], step[1] // apart[1]), hole=(rows, columns))


def _find_hole(name: str, lattice: Lattice, step: int) -> int:
    """Returns how many fragments lie in one another along an axis."""
    fragments = lattice.period // gcd(lattice.period, step)
    if fragments > 1 and lattice.stride != lattice.period:
        raise ModelError(f"{name}: no ONNX form at this stride: its cells lie closer than its fragments; {_ADVICE}")
    return fragments
