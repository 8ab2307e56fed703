"""Runs the first stages of a route on maps whose fragments lie in one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from torch import Tensor

from fullyconv.graph import Pair
from fullyconv.refine.fragments import Phases
from fullyconv.refine.interleaved import WHOLE, Interleaved, follow_phases, trim
from fullyconv.rewrite.program import Instruction
from fullyconv.rewrite.refined import Route, Stage, list_outputs, run_instructions
from fullyconv.rewrite.spreading import spread_stage

LARGEST_HOLE = 4
"""Up to this distance of a fragment's cells its fragments lie in one another: convolutions take as long, or less.

Apart, small fragments of up to four sizes take a call each, which lays out its weights anew. At 8, convolutions of 128
and more channels took 1.3 to 1.5 times as long with holes as on fragments.
"""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stage on maps whose fragments lie in one another.

    Attributes:
        instructions: in order.
        reads: the maps that they read.
        makes: the maps that are left.
        phases: of what it makes.
        last_uses: the maps that no later stage reads.
        between: what only its own instructions read.
        splits: whether it makes more fragments than it reads.
    """

    instructions: Sequence[Instruction]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    phases: tuple[Phases, Phases]
    last_uses: frozenset[str]
    between: frozenset[str]
    splits: bool


@lru_cache(maxsize=64)
def write_passages(route: Route, limit: Pair) -> tuple[Passage, ...]:
    """Returns the first stages of a route, up to the one that takes fragments apart.

    Args:
        route: all stages.
        limit: where the last window begins, in pixels.
    """
    phases: dict[str, tuple[Phases, Phases]] = {}
    passages: list[Passage] = []
    for stage, last_uses in zip(route.stages, route.last_uses, strict=True):
        read = [phases.get(name, WHOLE) for name in stage.reads]
        passage = _write_passage(stage, read, limit, last_uses)
        if passage is None:
            break
        passages.append(passage)
        phases.update(dict.fromkeys(stage.makes, passage.phases))
        if max(axis.factor for axis in passage.phases) > LARGEST_HOLE:
            break
    return tuple(passages)


def _write_passage(
    stage: Stage, read: Sequence[tuple[Phases, Phases]], limit: Pair, last_uses: frozenset[str]
) -> Passage | None:
    """Returns a stage on maps with phases; None where it needs fragments that lie apart."""
    splits = stage.find_splits(limit)
    phases = read[0] if splits is None else follow_phases(read[0], splits, limit)
    factors = (1, 1) if splits is None else (splits[0].factor, splits[1].factor)
    instructions = spread_stage(stage, (read[0][0].factor, read[0][1].factor), factors)
    if phases is None or instructions is None or any(other != read[0] for other in read):
        return None
    between = frozenset(name for one in instructions for name in list_outputs(one)).difference(stage.makes)
    return Passage(instructions, stage.reads, stage.makes, phases, last_uses, between, factors != (1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class InterleavedRun:
    """One run on one batch of images, which ends where fragments must lie apart or take too much memory.

    Attributes:
        passages: what runs.
        weights: by name.
        ends: maps that are kept to the end.
        group_bytes: what the maps of one group of fragments may take.
    """

    passages: Sequence[Passage]
    weights: Mapping[str, Tensor]
    ends: frozenset[str]
    group_bytes: int

    def run(self, name: str, images: Tensor) -> tuple[int, dict[str, Interleaved]]:
        """Returns how many passages ran, and the maps that are left.

        Args:
            name: of the image.
            images: `(N, C, H, W)`.
        """
        tensors = {**self.weights, name: images}
        phases = {name: WHOLE}
        ran, batch = 0, int(images.shape[0])
        for passage in self.passages:
            self._run_passage(passage, tensors, batch)
            ran += 1
            for made in passage.makes:
                phases[made] = passage.phases
            for unused in passage.last_uses:
                if unused not in self.ends:
                    del tensors[unused], phases[unused]
            if passage.splits and sum(_measure(tensors[name]) for name in phases) > self.group_bytes:
                break
        return ran, {name: Interleaved(tensors[name], phases[name]) for name in phases}

    def _run_passage(self, passage: Passage, tensors: dict[str, Tensor], batch: int) -> None:
        read = [tensors[name] for name in passage.reads] if len(passage.reads) > 1 else []
        if read:  # branches may differ by a cell at the end
            tensors.update(zip(passage.reads, trim(read), strict=True))
        run_instructions(passage.instructions, tensors, batch)
        if read:
            tensors.update(zip(passage.reads, read, strict=True))
        for name in passage.between:
            del tensors[name]


def _measure(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
