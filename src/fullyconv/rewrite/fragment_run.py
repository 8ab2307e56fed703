"""Runs a route: fragments lie in one another while that is quicker, then apart, in groups if they take much memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from fullyconv.graph import Pair
from fullyconv.refine.fragments import Count, Fragments, Phases, Wanted, match_fragments, split_fragments
from fullyconv.refine.interleaved import Interleaved
from fullyconv.refine.lattice import Split
from fullyconv.rewrite.interleaved_run import InterleavedRun, write_passages
from fullyconv.rewrite.program import Instruction
from fullyconv.rewrite.refined import Route, Stage, run_instructions
from fullyconv.rewrite.spreading import loosen_stage

Apart = dict[str, Fragments]
Maps = Mapping[str, Fragments] | Mapping[str, Interleaved]
Receive = Callable[[Maps], None]
Splits = tuple[Split, Split]


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
        passages = write_passages(self.route, self.wanted.limit_px)
        place, maps = InterleavedRun(passages, self.weights, self.ends, self.group_bytes).run(name, images)
        if place == len(self.route.stages):
            receive(maps)
        else:
            self._run_groups(place, {name: map_.divide(self.wanted.limit_px) for name, map_ in maps.items()}, receive)

    def _run_groups(self, start: int, maps: Apart, receive: Receive) -> None:
        """Runs the stages from one on, on a few fragments at a time if all of them would take too much."""
        if sum(map(_measure, maps.values())) > self.group_bytes and _can_be_grouped(maps):
            for group in _cut_into_groups(maps, self.group_bytes):
                self._run_from(start, group, receive)
        else:
            self._run_from(start, maps, receive)

    def _run_from(self, start: int, maps: Apart, receive: Receive) -> None:
        for place in range(start, len(self.route.stages)):
            stage = self.route.stages[place]
            maps.update(zip(stage.makes, self._run_stage(stage, maps), strict=False))
            for name in self.route.last_uses[place] - self.ends:
                maps.pop(name, None)
            if stage.slide is not None:
                self._run_groups(place + 1, maps, receive)
                return
        receive(maps)

    def _run_stage(self, stage: Stage, maps: Apart) -> list[Fragments]:
        lattices = [self.route.lattices[name] for name in stage.reads]
        read = match_fragments([maps[name] for name in stage.reads], lattices, self.wanted)
        splits = stage.find_splits(self.wanted.limit_px)
        if splits is None or all(split.factor == 1 for split in splits):
            return self._run_parts(stage.instructions, stage, read)
        (made,) = self._run_parts(loosen_stage(stage, (splits[0].factor, splits[1].factor)), stage, read)
        phases = (Phases(splits[0].factor, splits[0].phase_px), Phases(splits[1].factor, splits[1].phase_px))
        counts = _count_cells(stage, splits, read[0], made)
        return [split_fragments(made, phases, counts, self.wanted.limit_px)]

    def _run_parts(
        self, instructions: Sequence[Instruction], stage: Stage, read: Sequence[Fragments]
    ) -> list[Fragments]:
        made = []
        for parts in zip(*read, strict=True):
            tensors = {**self.weights, **dict(zip(stage.reads, parts, strict=True))}
            run_instructions(instructions, tensors, len(parts[0]))
            made.append([tensors[name] for name in stage.makes])
        return [read[0].fill(parts) for parts in zip(*made, strict=True)]


def _count_cells(stage: Stage, splits: Splits, read: Fragments, made: Fragments) -> tuple[Count, Count]:
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
    return sum(map(_bytes_of, map_))


def _can_be_grouped(maps: Mapping[str, Fragments]) -> bool:
    """Returns whether the maps can be run a few fragments at a time."""
    first = next(iter(maps.values()))
    is_one = len(first.rows) == len(first.columns) == 1 and len(first.rows[0]) == len(first.columns[0]) == 1
    return not is_one and all(map_.rows == first.rows and map_.columns == first.columns for map_ in maps.values())


def _cut_into_groups(maps: Mapping[str, Fragments], group_bytes: int) -> Iterator[Apart]:
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
