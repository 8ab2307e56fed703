"""A dense network from PyTorch on a finer grid, in a form that torch's tracing exporter follows at any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from fullyconv.capture.calls import Call
from fullyconv.graph import Pair
from fullyconv.refine.edges import Edge
from fullyconv.refine.stacks import Stack, Stacking
from fullyconv.refine.surroundings import KINDS
from fullyconv.rewrite.loosening import loosen_step
from fullyconv.rewrite.program import Instruction
from fullyconv.rewrite.refined import Route, RunCall, Stage, run_instructions
from fullyconv.rewrite.traced_algebra import TracedAlgebra

_PAD = "aten.pad.default"


@dataclass(frozen=True, slots=True)
class TracedFragments:
    """A route on fragments that lie in one tensor.

    Attributes:
        route: what runs.
        step: pixels between neighbouring scores, `(y, x)`.
        weights: by name.
        run_call: runs one call on tensors and a number of images.
    """

    route: Route
    step: Pair
    weights: dict[str, Tensor]
    run_call: RunCall
    stacking: Stacking[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        """Makes what writes between the stages."""
        object.__setattr__(self, "stacking", Stacking(TracedAlgebra(), self.step))

    def run(self, name: str, images: Tensor) -> dict[str, Stack[Tensor]]:
        """Returns all maps.

        Args:
            name: of the image.
            images: `(N, C, H, W)`.
        """
        maps: dict[str, Stack[Tensor]] = {name: self.stacking.begin(images)}
        for stage in self.route.stages:
            lattices = [self.route.lattices[read] for read in stage.reads]
            read = self.stacking.match([maps[read] for read in stage.reads], lattices)
            made = self._run_stage(stage, read)
            maps.update({
                name: self.stacking.split(tensor, read[0], stage.edge, stage.splits)
                for name, tensor in zip(stage.makes, made, strict=True)
            })  # fmt: skip
        return maps

    def _run_stage(self, stage: Stage, read: Sequence[Stack[Tensor]]) -> list[Tensor]:
        factors = (1, 1) if stage.splits is None else (stage.splits[0].factor, stage.splits[1].factor)
        if stage.edge.average is not None and (factors != (1, 1) or not read[0].is_whole):
            (call,) = stage.instructions
            assert isinstance(call, Call)  # a pool
            stride = (call.args[2][0] // factors[0], call.args[2][1] // factors[1])
            return [self.stacking.average(read[0], stage.edge, tuple(call.args[1]), stride)]
        instructions: Sequence[Instruction] = stage.instructions
        if factors != (1, 1):
            assert stage.slide is not None  # only what slides has phases
            instructions = loosen_step(stage.instructions, stage.slide, factors)
        return self._run_calls(instructions, stage, read)

    def _run_calls(
        self, instructions: Sequence[Instruction], stage: Stage, read: Sequence[Stack[Tensor]]
    ) -> list[Tensor]:
        filled = [self.stacking.fill(map_, stage.edge) for map_ in read]
        known = {**self.weights, **dict(zip(stage.reads, filled, strict=True))}
        run = self.run_call if read[0].is_whole else self._surround(read[0], stage.edge)
        run_instructions(instructions, known, filled[0].shape[0], run)
        return [known[name] for name in stage.makes]

    def _surround(self, read: Stack[Tensor], edge: Edge) -> RunCall:
        """Returns what runs calls on a map in fragments: what repeats or mirrors last cells finds the real ones."""

        def run(call: Call, known: dict[str, Tensor], batch: Any) -> tuple[Any, ...]:
            if call.target != _PAD or KINDS.get(call.args[2]) is None:
                return self.run_call(call, known, batch)
            source, pads, kind, *value = call.args
            padded = self.stacking.surround(known[source.name], read, edge, kind)
            if not any(pads[4:]):  # of channels
                return (padded,)
            rest = replace(call, args=(source, [0, 0, 0, 0, *pads[4:]], kind, *value))
            return self.run_call(rest, {**known, source.name: padded}, batch)

        return run
