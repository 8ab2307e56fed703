"""Runs a route: fragments lie in one another while that is quicker, then apart, in groups if they take much memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fullyconv.capture.calls import run_call
from fullyconv.graph import Pair
from fullyconv.refine.fragments import Count, Fragments, Phases, Wanted, match_fragments, split_fragments
from fullyconv.refine.interleaved import Interleaved, follow_phases, trim
from fullyconv.refine.lattice import Split
from fullyconv.rewrite.program import GridCall, Instruction
from fullyconv.rewrite.refined import Route, Stage
from fullyconv.rewrite.spreading import loosen_stage, spread_stage

Map = Fragments | Interleaved
Maps = dict[str, Map]
Receive = Callable[[Maps], None]
Splits = tuple[Split, Split]

LARGEST_HOLE = 4
"""Up to this distance of a fragment's cells its fragments lie in one another: convolutions take as long, or less.

Apart, small fragments of up to four sizes take a call each, which lays out its weights anew. At 8, convolutions of 128
and more channels took 1.3 to 1.5 times as long with holes as on fragments (docs/refinement.md).
"""


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
        self._run_from(0, {name: Interleaved(images)}, receive)

    def _run_from(self, start: int, maps: Maps, receive: Receive) -> None:
        for place in range(start, len(self.route.stages)):
            stage = self.route.stages[place]
            maps.update(zip(stage.makes, self._run_stage(stage, maps), strict=False))
            for name in self.route.last_uses[place] - self.ends:
                maps.pop(name, None)
            if stage.slide is not None and sum(_measure(map_) for map_ in maps.values()) > self.group_bytes:
                apart = {name: divide(map_, self.wanted) for name, map_ in maps.items()}
                if _can_be_grouped(apart):
                    for group in _cut_into_groups(apart, self.group_bytes):
                        self._run_from(place + 1, group, receive)
                    return
                maps = dict(apart)
        receive(maps)

    def _run_stage(self, stage: Stage, maps: Maps) -> Sequence[Map]:
        splits = None if stage.splits is None else self._find_phases(stage.splits)
        read = [maps[name] for name in stage.reads]
        made = self._run_interleaved(stage, read, splits)
        if made is None:
            return self._run_apart(stage, [divide(map_, self.wanted) for map_ in read], splits)
        return made if max(made[0].hole) <= LARGEST_HOLE else [divide(map_, self.wanted) for map_ in made]

    def _find_phases(self, splits: Splits) -> Splits:
        """Returns the splits; where no window begins at a later phase, the operation keeps its stride."""
        rows, columns = (
            replace(split, factor=1) if split.phase_px > limit else split
            for split, limit in zip(splits, self.wanted.limit_px, strict=True)
        )
        return rows, columns

    def _run_interleaved(self, stage: Stage, read: Sequence[Map], splits: Splits | None) -> list[Interleaved] | None:
        """Returns what a stage makes of maps whose fragments lie in one another; None where they must lie apart."""
        maps = [map_ for map_ in read if isinstance(map_, Interleaved)]
        if len(maps) < len(read) or any(map_.phases != maps[0].phases for map_ in maps):
            return None
        phases = maps[0].phases if splits is None else follow_phases(maps[0].phases, splits, self.wanted.limit_px)
        instructions = spread_stage(stage, maps[0].hole, _list_factors(splits))
        if phases is None or instructions is None:
            return None
        return [Interleaved(tensor, phases) for tensor in self._run_calls(instructions, stage, trim(maps))]

    def _run_apart(self, stage: Stage, maps: Sequence[Fragments], splits: Splits | None) -> list[Fragments]:
        lattices = [self.route.lattices[name] for name in stage.reads]
        read = match_fragments(maps, lattices, self.wanted)
        factors = _list_factors(splits)
        instructions = loosen_stage(stage, factors)
        parts = [self._run_calls(instructions, stage, parts) for parts in zip(*read, strict=True)]
        made = [read[0].fill(tensors) for tensors in zip(*parts, strict=True)]
        if splits is None or factors == (1, 1):
            return made
        phases = (Phases(factors[0], splits[0].phase_px), Phases(factors[1], splits[1].phase_px))
        counts = _count_cells(stage, splits, read[0], made[0])
        return [split_fragments(made[0], phases, counts, self.wanted.limit_px)]

    def _run_calls(self, instructions: Sequence[Instruction], stage: Stage, read: Sequence[Tensor]) -> list[Tensor]:
        """Returns what instructions make of tensors `(N, C, h, w)`."""
        known = {**self.weights, **dict(zip(stage.reads, read, strict=True))}
        for instruction in instructions:
            if isinstance(instruction, GridCall):
                rows, columns = instruction.step
                known[instruction.output] = known[instruction.source][:, :, ::rows, ::columns]
            else:
                made = run_call(instruction, known, len(read[0]))
                known.update(zip(instruction.outputs, made, strict=False))
        return [known[name] for name in stage.makes]


def divide(map_: Map, wanted: Wanted) -> Fragments:
    """Returns a map as fragments that lie apart; what are such stays as it is."""
    return map_.divide(wanted.limit_px) if isinstance(map_, Interleaved) else map_


def _list_factors(splits: Splits | None) -> Pair:
    return (1, 1) if splits is None else (splits[0].factor, splits[1].factor)


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


def _measure(map_: Map) -> int:
    return _bytes_of(map_.tensor) if isinstance(map_, Interleaved) else sum(map(_bytes_of, map_))


def _can_be_grouped(maps: Mapping[str, Fragments]) -> bool:
    """Returns whether the maps can be run a few fragments at a time."""
    first = next(iter(maps.values()))
    is_one = len(first.rows) == len(first.columns) == 1 and len(first.rows[0]) == len(first.columns[0]) == 1
    return not is_one and all(map_.rows == first.rows and map_.columns == first.columns for map_ in maps.values())


def _cut_into_groups(maps: Mapping[str, Fragments], group_bytes: int) -> Iterator[Maps]:
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
