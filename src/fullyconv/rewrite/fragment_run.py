"""Runs a route: maps in fragments, in groups of fragments where all of them would take too much memory."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fullyconv.capture.calls import run_call
from fullyconv.graph import Pair
from fullyconv.refine.fragments import Count, Fragments, Wanted, make_whole, match_fragments, split_fragments
from fullyconv.refine.lattice import Split
from fullyconv.rewrite.loosening import loosen_step
from fullyconv.rewrite.program import GridCall, Instruction
from fullyconv.rewrite.refined import Route, Stage

Maps = dict[str, Fragments]
Receive = Callable[[Maps], None]


@dataclass(frozen=True, slots=True, eq=False)
class FragmentRun:
    """One run on one batch of images.

    Attributes:
        route: what runs.
        weights: by name.
        wanted: the windows.
        ends: maps that are kept to the end.
        group_bytes: what the maps of one group of fragments may take.
    """

    route: Route
    weights: Mapping[str, Tensor]
    wanted: Wanted
    ends: frozenset[str]
    group_bytes: int

    def run(self, name: str, images: Tensor, receive: Receive) -> None:
        """Runs everything; `receive` gets the ends of each group of fragments.

        Args:
            name: of the image.
            images: `(N, C, H, W)`.
            receive: is called at least once.
        """
        self._run_from(0, {name: make_whole(images)}, receive)

    def _run_from(self, start: int, maps: Maps, receive: Receive) -> None:
        for place in range(start, len(self.route.stages)):
            stage = self.route.stages[place]
            maps.update(zip(stage.makes, self._run_stage(stage, maps), strict=False))
            needed = self.ends.union(*(later.reads for later in self.route.stages[place + 1 :]))
            maps = {name: map_ for name, map_ in maps.items() if name in needed}
            if stage.slide is not None and self._is_too_large(maps):
                for group in _cut_into_groups(maps, self.group_bytes):
                    self._run_from(place + 1, group, receive)
                return
        receive(maps)

    def _is_too_large(self, maps: Maps) -> bool:
        """Returns whether the maps take too much and can be run a few fragments at a time."""
        first = next(iter(maps.values()))
        is_one = len(first.rows) == len(first.columns) == 1 and len(first.rows[0]) == len(first.columns[0]) == 1
        same = all(map_.rows == first.rows and map_.columns == first.columns for map_ in maps.values())
        return same and not is_one and sum(_measure(map_) for map_ in maps.values()) > self.group_bytes

    def _run_stage(self, stage: Stage, maps: Maps) -> list[Fragments]:
        lattices = [self.route.lattices[name] for name in stage.reads]
        read = match_fragments([maps[name] for name in stage.reads], lattices, self.wanted)
        splits = None if stage.splits is None else self._find_phases(stage.splits)
        if splits is None or all(split.factor == 1 for split in splits):
            return self._run_parts(stage.instructions, stage, read)
        assert stage.slide is not None  # only what slides has phases
        instructions = loosen_step(stage.instructions, stage.slide, (splits[0].factor, splits[1].factor))
        (made,) = self._run_parts(instructions, stage, read)
        return [split_fragments(made, splits, _count_cells(stage, splits, read[0], made), self.wanted.limit_px)]

    def _find_phases(self, splits: tuple[Split, Split]) -> tuple[Split, Split]:
        """Returns the splits; where no window begins at a later phase, the operation keeps its stride."""
        rows, columns = (
            replace(split, factor=1) if split.phase_px > limit else split
            for split, limit in zip(splits, self.wanted.limit_px, strict=True)
        )
        return rows, columns

    def _run_parts(
        self, instructions: Sequence[Instruction], stage: Stage, read: Sequence[Fragments]
    ) -> list[Fragments]:
        results: list[list[Tensor]] = [[] for _ in stage.makes]
        for parts in zip(*read, strict=True):
            local: dict[str, Tensor] = dict(zip(stage.reads, parts, strict=True))
            known = ChainMap(local, self.weights)  # type: ignore[arg-type]
            for instruction in instructions:
                if isinstance(instruction, GridCall):
                    rows, columns = instruction.step
                    local[instruction.output] = known[instruction.source][:, :, ::rows, ::columns]
                else:
                    made = run_call(instruction, known, len(parts[0]))
                    local.update(zip(instruction.outputs, made, strict=False))
            for result, name in zip(results, stage.makes, strict=True):
                result.append(local[name])
        return [read[0].fill(tensors) for tensors in results]


def _count_cells(stage: Stage, splits: tuple[Split, Split], read: Fragments, made: Fragments) -> tuple[Count, Count]:
    """Returns how many cells there are at a phase of a part, along both axes."""

    def make(axis: int) -> Count:
        split = splits[axis]
        ceil = None if stage.slide is None or stage.slide.ceil is None else stage.slide.ceil[axis]
        had, has = _list_sizes(read, axis), _list_sizes(made, axis)

        def count(part: int, phase: int) -> int:
            if ceil is not None:
                return ceil.count(had[part] - phase * split.phase_cells)
            return -(-(has[part] - phase) // split.factor)

        return count

    return make(0), make(1)


def _list_sizes(map_: Fragments, axis: int) -> list[int]:
    along = [tensors[0] for tensors in map_.tensors] if axis == 0 else map_.tensors[0]
    return [int(tensor.shape[2 + axis]) for tensor in along]


def _measure(map_: Fragments) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in map_)


def _cut_into_groups(maps: Maps, group_bytes: int) -> Iterator[Maps]:
    """Yields the maps with a few of their fragments each time, and the last with the rest."""
    first = next(iter(maps.values()))
    for row, tops in enumerate(first.rows):
        for column, lefts in enumerate(first.columns):
            each = sum(_bytes_of(map_.tensors[row][column]) for map_ in maps.values()) // (len(tops) * len(lefts))
            wide = max(1, min(len(lefts), group_bytes // max(each, 1)))
            high = max(1, min(len(tops), group_bytes // max(each * wide, 1)))
            for top in range(0, len(tops), high):
                for left in range(0, len(lefts), wide):
                    spans = (slice(top, top + high), slice(left, left + wide))
                    yield {name: _take(map_, (row, column), spans) for name, map_ in maps.items()}


def _bytes_of(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _take(map_: Fragments, part: Pair, spans: tuple[slice, slice]) -> Fragments:
    rows, columns = map_.rows[part[0]][spans[0]], map_.columns[part[1]][spans[1]]
    return Fragments((rows,), (columns,), ((map_.view(*part)[spans].flatten(0, 2),),))
