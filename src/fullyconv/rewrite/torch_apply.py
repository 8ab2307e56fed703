"""Plan -> Program and weights: carries out what was decided, for torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fullyconv.analyze.plan import Plan, ShiftedBias, Step, Weight
from fullyconv.analyze.rearrangement import Indices, Own, Taps
from fullyconv.capture.calls import Call, Ref, find_batched, map_arg
from fullyconv.capture.liveness import count_live_values
from fullyconv.capture.torch_export import CapturedModel
from fullyconv.refine.edges import find_edge
from fullyconv.refine.slides import find_slide
from fullyconv.rewrite.dense_module import RESERVED
from fullyconv.rewrite.kernels import make_filters, make_shifted_bias, measure_kernel
from fullyconv.rewrite.lowering import Lowering
from fullyconv.rewrite.program import Instruction, Program, StepCalls, WindowedHead
from fullyconv.rewrite.torch_steps import lower_step

_VIEWS = frozenset({"aten.view.default", "aten._unsafe_view.default"})


@dataclass(frozen=True, slots=True)
class DenseProgram:
    """A program with its weights.

    Attributes:
        program: what to run.
        weights: by the names that the program uses; the classifier's own names wherever one weight came from one.
        parameters: which of the weights are parameters.
    """

    program: Program
    weights: Mapping[str, torch.Tensor]
    parameters: frozenset[str]


def apply_plan(plan: Plan, captured: CapturedModel) -> DenseProgram:
    """Returns the dense network that the plan describes; the captured model is not changed."""
    store = _WeightStore(captured)
    instructions: list[Instruction] = []
    steps: list[StepCalls] = []
    for step in plan.steps:
        inputs = tuple(used if isinstance(used, str) else store.add(used, step) for used in step.inputs)
        weights = tuple(None if used is None else Ref(store.add(used, step)) for used in step.weights)
        lowered = lower_step(Lowering(step, step.op, inputs, weights, captured.calls[step.node]))
        instructions += lowered
        kernel = store.weights[weights[0].name].shape[2:] if weights and weights[0] is not None else ()
        edge = find_edge(step.op, (kernel[0], kernel[1]) if len(kernel) == 2 else (1, 1))
        steps.append(StepCalls(len(lowered), edge, find_slide(step.op)))
    head = _make_head(plan, captured, store) if plan.windowed else None
    program = Program(
        image=captured.graph.image.name,
        window=plan.grid.window_px,
        stride=plan.grid.stride_px,
        instructions=tuple(instructions),
        head=head,
        outputs=plan.outputs,
        logits=plan.logits,
        structure=captured.structure,
        align=plan.align,
        own_stride=plan.grid.stride_px,
        steps=tuple(steps),
    )
    return DenseProgram(program, store.weights, frozenset(store.weights.keys() & store.parameters))


class _WeightStore:
    """Collects the weights that the program uses, under recognisable names."""

    def __init__(self, captured: CapturedModel) -> None:
        self.weights: dict[str, torch.Tensor] = {}
        self.parameters: set[str] = set()
        self._captured = captured
        self._computed = _compute_read(captured)  # for this dense network only, which may keep them
        self._names: dict[Weight | ShiftedBias, str] = {}

    def add(self, weight: Weight | ShiftedBias | Own, step: Step | None) -> str:
        """Returns the name of a weight, which is made when it is asked for the first time."""
        if isinstance(weight, Indices | Taps):
            return self._add_own(weight, step)
        source = weight.source if isinstance(weight, Weight) else (weight.bias or f"{weight.weight.source}:bias")
        known = self._names.get(weight)
        if known:
            return known
        own = _avoid_reserved(source)
        name = own if own not in self.weights else f"{own}:{step.output if step else len(self.weights)}"
        self._names[weight] = name
        self.weights[name] = self._make(weight)
        origin = source if isinstance(weight, Weight) else weight.weight.source
        if origin in self._captured.parameters:
            self.parameters.add(name)
        return name

    def _add_own(self, own: Own, step: Step | None) -> str:
        assert step is not None  # only steps have constants of their own
        name = f"{step.output}:places"
        if isinstance(own, Indices):
            self.weights[name] = torch.tensor(own.values)
        else:
            self.weights[name] = torch.from_numpy(own.make()).to(getattr(torch, self._captured.graph.image.dtype))
        return name

    def _make(self, weight: Weight | ShiftedBias) -> torch.Tensor:
        if isinstance(weight, Weight) and weight.is_plain:
            tensor = self._find(weight.source)
            return tensor.clone() if weight.source in self._captured.tensors.stored else tensor
        if isinstance(weight, Weight) and not weight.is_computed:
            return _reorder(self._find(weight.source), weight)
        origin = self._find(weight.source if isinstance(weight, Weight) else weight.weight.source)
        if isinstance(weight, ShiftedBias):
            return torch.from_numpy(make_shifted_bias(weight, self._read)).to(origin)
        made = torch.empty(measure_kernel(weight, tuple(origin.shape)), dtype=origin.dtype, device=origin.device)
        for start, filters in make_filters(weight, self._read):
            made[start : start + len(filters)] = torch.from_numpy(filters)
        return made

    def _read(self, name: str) -> NDArray[np.generic]:
        """Returns a tensor's values as they are; numpy has no bfloat16, whose values float32 holds exactly."""
        tensor = self._find(name).detach().cpu()
        array: NDArray[np.generic] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        return array

    def _find(self, name: str) -> torch.Tensor:
        return self._computed[name] if name in self._computed else self._captured.tensors[name]


def _compute_read(captured: CapturedModel) -> dict[str, torch.Tensor]:
    """Returns the computed constants that operations on the image read."""
    calls = (captured.calls[node.name] for node in captured.graph.nodes)
    return captured.tensors.compute({name for call in calls for name in call.references()})


def _avoid_reserved(name: str) -> str:
    """Returns the name, with an underscore behind its first part where the dense module has a use for that."""
    first, dot, rest = name.partition(".")
    return f"{first}_{dot}{rest}" if first in RESERVED else name


def _reorder(source: torch.Tensor, weight: Weight) -> torch.Tensor:
    """Returns the values in another order, in their own precision, so that nothing is rounded or held twice."""
    tensor = source if weight.columns is None else source[:, slice(*weight.columns)]
    if weight.layout is not None:
        ordered = tensor.reshape(weight.layout.view).permute(weight.layout.order)
        tensor = ordered.expand(weight.layout.full).reshape(weight.layout.shape)
        tensor = tensor[..., :1, :1].clone() if weight.layout.first_cell else tensor
    shares = tensor.untyped_storage().data_ptr() == source.untyped_storage().data_ptr()
    return tensor.clone() if shares else tensor


def _make_head(plan: Plan, captured: CapturedModel, store: _WeightStore) -> WindowedHead:
    """Returns the original calls of the windowed nodes, with what they read beside the cuts."""
    producers = {output: name for name, call in captured.calls.items() for output in call.outputs}
    batched = find_batched(captured.calls[name] for name in captured.tensors.calls)
    names = {cut.value: cut.value for cut in plan.cuts}
    calls: dict[str, Call] = {}

    def include(node: str) -> None:
        call = captured.calls[node]
        for reference in call.references():
            if reference not in names:
                resolve(reference)
        names.update((output, output) for output in call.outputs)
        calls[node] = _rename(call, names)

    def resolve(reference: str) -> None:
        if reference in batched:
            include(producers[reference])
        elif reference not in captured.tensors:
            raise AssertionError(f"{reference} is read on windows but neither cut nor computed there")
        else:
            names[reference] = store.add(Weight(reference), None)

    for node in captured.calls:
        if node in set(plan.windowed):
            include(node)
    kept = {output.value for output in (*plan.outputs, *plan.logits)}
    live = count_live_values(tuple(calls.values()), _count_values(captured), kept)
    return WindowedHead(plan.cuts, tuple(calls.values()), captured.graph.batch, captured.rebatchable, live)


def _count_values(captured: CapturedModel) -> dict[str, int]:
    """Returns how many values of each tensor belong to one window."""
    graph = captured.graph
    values = (graph.image, *(value for node in graph.nodes for value in node.outputs))
    return {value.name: -(-prod(value.shape) // graph.batch) for value in values}


def _rename(call: Call, names: Mapping[str, str]) -> Call:
    def leaf(arg: Any) -> Any:
        return Ref(names[arg.name]) if isinstance(arg, Ref) else arg

    # The windows' memory is laid out anew, so a view that was possible at capture may need a copy here.
    target = "aten.reshape.default" if call.target in _VIEWS else call.target
    kwargs = {name: map_arg(arg, leaf) for name, arg in call.kwargs.items()}
    return replace(call, target=target, args=map_arg(call.args, leaf), kwargs=kwargs)
