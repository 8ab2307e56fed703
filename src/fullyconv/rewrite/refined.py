"""A program in fragments: what has a stride runs at every phase, everything else runs as it does, on each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm

from fullyconv.errors import OptionError
from fullyconv.graph import Pair
from fullyconv.grid import format_size
from fullyconv.refine.fragments import Fragments
from fullyconv.refine.lattice import Lattice, Split, UnreachableError, split_axis
from fullyconv.refine.slides import Slide
from fullyconv.rewrite.program import GridCall, Instruction, Program

Lattices = tuple[Lattice, Lattice]
Maps = dict[str, Fragments]


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs as one.

    Attributes:
        instructions: in order.
        reads: the maps that they read.
        makes: the maps that are left.
        slide: how a strided step slides; None for any other.
        splits: how it becomes fragments, along both axes.
    """

    instructions: tuple[Instruction, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    slide: Slide | None = None
    splits: tuple[Split, Split] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A program as stages for one distance of windows.

    Attributes:
        stages: in order.
        lattices: where the cells of each map lie.
    """

    stages: tuple[Stage, ...]
    lattices: Mapping[str, Lattices]


def make_route(program: Program, step: Pair) -> Route:
    """Returns the stages of a program for windows at multiples of `step` pixels.

    Raises:
        UnreachableError: fragments do not lie there.
    """
    lattices: dict[str, Lattices] = {program.image: (Lattice(), Lattice())}
    stages = []
    for instructions, slide in _group(program):
        reads = _list_reads(instructions, lattices)
        joined = _join([lattices[name] for name in reads])
        makes, splits = _list_outputs(instructions[-1]), None
        if slide is not None:
            splits = _split(joined, slide, step)
            joined = (splits[0].after, splits[1].after)
        lattices.update(dict.fromkeys(makes, joined))
        stages.append(Stage(instructions, reads, makes, slide, splits))
    return Route(tuple(stages), lattices)


def list_steps(program: Program) -> tuple[list[int], list[int]]:
    """Returns the distances of windows that fragments can serve along each axis, from the program's own down to 1."""
    own = program.own_stride

    def fits(step: Pair) -> bool:
        try:
            make_route(program, step)
        except UnreachableError:
            return False
        return True

    rows = [size for size in range(own[0], 0, -1) if own[0] % size == 0 and fits((size, own[1]))]
    return rows, [size for size in range(own[1], 0, -1) if own[1] % size == 0 and fits((own[0], size))]


def check_step(program: Program, step: Pair) -> None:
    """Checks that windows can lie `step` pixels apart, `(y, x)`.

    Raises:
        OptionError: they cannot; the message lists what is possible.
    """
    rows, columns = list_steps(program)
    if step[0] not in rows or step[1] not in columns:
        raise OptionError(
            f"stride: expected {_list(columns)} pixels across and {_list(rows)} down, or multiples of the largest when "
            f"converting; got {format_size(step)} (across x down)"
        )


def _list(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes[:-1])) + " or " * (len(sizes) > 1) + str(sizes[-1])


def _group(program: Program) -> Iterator[tuple[tuple[Instruction, ...], Slide | None]]:
    """Yields the instructions of each step, and how it slides."""
    start = 0
    for step in program.steps:
        yield program.instructions[start : start + step.calls], step.slide
        start += step.calls


def _list_reads(instructions: Sequence[Instruction], known: Mapping[str, Lattices]) -> tuple[str, ...]:
    names = [name for one in instructions for name in list_references(one)]
    return tuple(dict.fromkeys(name for name in names if name in known))


def list_references(instruction: Instruction) -> tuple[str, ...]:
    """Returns the tensors that an instruction reads."""
    return (instruction.source,) if isinstance(instruction, GridCall) else tuple(instruction.references())


def _list_outputs(instruction: Instruction) -> tuple[str, ...]:
    return (instruction.output,) if isinstance(instruction, GridCall) else instruction.outputs


def _join(lattices: Sequence[Lattices]) -> Lattices:
    rows, columns = (
        Lattice(lattices[0][axis].stride, lcm(*(pair[axis].period for pair in lattices))) for axis in (0, 1)
    )
    return rows, columns


def _split(before: Lattices, slide: Slide, step: Pair) -> tuple[Split, Split]:
    rows, columns = (split_axis(before[axis], slide.stride[axis], slide.finer[axis], step[axis]) for axis in (0, 1))
    return rows, columns
