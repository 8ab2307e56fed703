"""What one step of a plan becomes: the place where its calls are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fullyconv.analyze.plan import Step
from fullyconv.capture.calls import Call, Ref
from fullyconv.rewrite.program import Instruction


@dataclass(frozen=True, slots=True)
class Lowering:
    """What one step becomes.

    Attributes:
        step: the step.
        op: its operation.
        inputs: the names of its inputs.
        weights: a reference to each weight, None for a missing one.
        call: the classifier's own call of the step's node.
    """

    step: Step
    op: Any
    inputs: tuple[str, ...]
    weights: tuple[Ref | None, ...]
    call: Call

    def make(self, target: str, *args: Any) -> list[Instruction]:
        """Returns one call on the first input that gives the step's output."""
        return [Call(target, (Ref(self.inputs[0]), *args), outputs=(self.step.output,))]

    def chain(self, *calls: tuple[str, tuple[Any, ...]]) -> list[Instruction]:
        """Returns calls, each on the result of the one before."""
        names = [f"{self.step.output}/{i}" for i in range(len(calls) - 1)]
        sources = [self.inputs[0], *names]
        outputs = [*names, self.step.output]
        return [
            Call(target, (Ref(source), *args), outputs=(output,))
            for (target, args), source, output in zip(calls, sources, outputs, strict=True)
        ]
