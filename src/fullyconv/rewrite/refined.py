"""A program in fragments: what has a stride runs at every phase, everything else runs as it does, on each part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm
from typing import Any

from torch import Tensor

from fullyconv.capture.calls import Call, run_call
from fullyconv.errors import OptionError
from fullyconv.graph import Pair
from fullyconv.grid import format_size
from fullyconv.refine.edges import Edge
from fullyconv.refine.lattice import Lattice, Split, UnreachableError, split_axis
from fullyconv.refine.slides import Slide
from fullyconv.rewrite.program import GridCall, Instruction, Program, StepCalls

Lattices = tuple[Lattice, Lattice]
RunCall = Callable[[Call, dict[str, Tensor], Any], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs as one.

    Attributes:
        instructions: in order.
        reads: the maps that they read.
        makes: the maps that are left.
        edge: what it makes of a map's end.
        slide: how a strided step slides; None for any other.
        splits: how it becomes fragments, along both axes.
    """

    instructions: tuple[Instruction, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    edge: Edge
    slide: Slide | None = None
    splits: tuple[Split, Split] | None = None

    def find_splits(self, limit: Pair) -> tuple[Split, Split] | None:
        """Returns how it becomes fragments; where no window begins at a later phase, it keeps its stride.

        Args:
            limit: where the last window begins, in pixels.
        """
        if self.splits is None:
            return None
        rows, columns = (
            replace(split, factor=1) if split.phase_px > last else split
            for split, last in zip(self.splits, limit, strict=True)
        )
        return rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A program as stages for one distance of windows.

    Attributes:
        stages: in order.
        lattices: where the cells of each map lie.
        last_uses: for each stage the maps that no later one reads.
    """

    stages: tuple[Stage, ...]
    lattices: Mapping[str, Lattices]
    last_uses: tuple[frozenset[str], ...]


def make_route(program: Program, step: Pair) -> Route:
    """Returns the stages of a program for windows at multiples of `step` pixels.

    Raises:
        UnreachableError: fragments do not lie there.
    """
    lattices: dict[str, Lattices] = {program.image: (Lattice(), Lattice())}
    stages = []
    for instructions, step_calls in _group(program):
        slide = step_calls.slide
        reads = _list_reads(instructions, lattices)
        joined = join_lattices([lattices[name] for name in reads])
        makes, splits = list_outputs(instructions[-1]), None
        if slide is not None:
            splits = split_lattices(joined, slide, step)
            joined = (splits[0].after, splits[1].after)
        lattices.update(dict.fromkeys(makes, joined))
        stages.append(Stage(instructions, reads, makes, step_calls.edge, slide, splits))
    return Route(tuple(stages), lattices, _find_last_uses(stages))


def _find_last_uses(stages: Sequence[Stage]) -> tuple[frozenset[str], ...]:
    seen: set[str] = set()
    uses = []
    for stage in reversed(stages):
        uses.append(frozenset({*stage.reads, *stage.makes} - seen))
        seen.update(uses[-1])
    return tuple(reversed(uses))


def run_instructions(
    instructions: Sequence[Instruction], tensors: dict[str, Tensor], batch: Any, run: RunCall = run_call
) -> None:
    """Adds to tensors what instructions make of them.

    Args:
        instructions: in order.
        tensors: maps `(N, C, h, w)` and weights, by name; is written.
        batch: N; a tensor of it while a run is traced.
        run: runs one call on tensors and a number of images.
    """
    for instruction in instructions:
        if isinstance(instruction, GridCall):
            rows, columns = instruction.step
            tensors[instruction.output] = tensors[instruction.source][:, :, ::rows, ::columns]
        else:
            made = run(instruction, tensors, batch)
            tensors.update(zip(instruction.outputs, made, strict=False))


def list_steps(program: Program) -> tuple[list[int], list[int]]:
    """Returns the distances of windows that fragments can serve along each axis, from the program's own down to 1."""
    return list_reachable(program.own_stride, lambda step: make_route(program, step))


def list_reachable(own: Pair, make: Callable[[Pair], object]) -> tuple[list[int], list[int]]:
    """Returns the distances along each axis, from `own` down to 1, for which `make` can make a route."""

    def fits(step: Pair) -> bool:
        try:
            make(step)
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
    check_reachable(list_steps(program), step)


def check_reachable(reachable: tuple[list[int], list[int]], step: Pair) -> None:
    """Checks that a step is one of those listed.

    Raises:
        OptionError: it is not; the message lists what is possible.
    """
    rows, columns = reachable
    if step[0] not in rows or step[1] not in columns:
        raise OptionError(
            f"stride: expected {_list(columns)} pixels across and {_list(rows)} down, or multiples of the largest when "
            f"converting; got {format_size(step)} (across x down)"
        )


def _list(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes[:-1])) + " or " * (len(sizes) > 1) + str(sizes[-1])


def _group(program: Program) -> Iterator[tuple[tuple[Instruction, ...], StepCalls]]:
    """Yields the instructions of each step, and what is known of it."""
    start = 0
    for step in program.steps:
        yield program.instructions[start : start + step.calls], step
        start += step.calls


def _list_reads(instructions: Sequence[Instruction], known: Mapping[str, Lattices]) -> tuple[str, ...]:
    names = [name for one in instructions for name in list_references(one)]
    return tuple(dict.fromkeys(name for name in names if name in known))


def list_references(instruction: Instruction) -> tuple[str, ...]:
    """Returns the tensors that an instruction reads."""
    return (instruction.source,) if isinstance(instruction, GridCall) else tuple(instruction.references())


def list_outputs(instruction: Instruction) -> tuple[str, ...]:
    """Returns the tensors that an instruction makes."""
    return (instruction.output,) if isinstance(instruction, GridCall) else instruction.outputs


def join_lattices(lattices: Sequence[Lattices]) -> Lattices:
    """Returns where the cells of something made of several maps lie."""
    rows, columns = (
        Lattice(lattices[0][axis].stride, lcm(*(pair[axis].period for pair in lattices))) for axis in (0, 1)
    )
    return rows, columns


def split_lattices(before: Lattices, slide: Slide, step: Pair) -> tuple[Split, Split]:
    """Returns how an operation that slides becomes fragments along both axes.

    Raises:
        UnreachableError: fragments do not lie at multiples of `step`.
    """
    rows, columns = (split_axis(before[axis], slide.stride[axis], slide.finer[axis], step[axis]) for axis in (0, 1))
    return rows, columns
