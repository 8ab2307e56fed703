"""A plan on a finer grid as ONNX nodes: what has a stride runs at every phase, all fragments in one tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import gcd, prod

import onnx_ir as ir

from fullyconv.analyze.plan import BinPool, CropMap, Plan, Step, ToGrid, WindowStatistic
from fullyconv.analyze.rearrangement import FoldMap
from fullyconv.capture.onnx_file import CapturedOnnx
from fullyconv.graph import Conv, Operation, Pair, WindowPool
from fullyconv.refine.edges import Edge, find_edge
from fullyconv.refine.lattice import Lattice, Split
from fullyconv.refine.slides import find_slide
from fullyconv.refine.stacks import Stack, Stacking
from fullyconv.refine.surroundings import Kind
from fullyconv.rewrite.onnx_algebra import OnnxAlgebra
from fullyconv.rewrite.onnx_apply import OnnxWriter
from fullyconv.rewrite.onnx_builder import TO_THE_END
from fullyconv.rewrite.onnx_fragments import Lattices, check_scores
from fullyconv.rewrite.refined import check_reachable, join_lattices, list_reachable, split_lattices


@dataclass(frozen=True, slots=True)
class PlanRoute:
    """A plan for windows at one distance.

    Attributes:
        step_px: the distance, `(y, x)`.
        splits: how each step that slides becomes fragments, by its output.
        lattices: where the cells of each map lie.
    """

    step_px: Pair
    splits: Mapping[str, tuple[Split, Split]]
    lattices: Mapping[str, Lattices]

    def count_fragments(self) -> dict[str, int]:
        """Returns how many fragments each map has."""
        return {
            name: prod(
                lattice.period // gcd(lattice.period, size) for lattice, size in zip(pair, self.step_px, strict=True)
            )
            for name, pair in self.lattices.items()
        }


def make_plan_route(plan: Plan, image: str, step_px: Pair) -> PlanRoute:
    """Returns the route of a plan.

    Raises:
        UnreachableError: fragments do not lie at multiples of `step_px`.
    """
    splits: dict[str, tuple[Split, Split]] = {}
    lattices: dict[str, Lattices] = {image: (Lattice(), Lattice())}
    for step in plan.steps:
        joined = join_lattices([lattices[name] for name in list_maps(step)])
        slide = find_slide(step.op)
        if slide is not None:
            splits[step.output] = split_lattices(joined, slide, step_px)
            rows, columns = splits[step.output]
            joined = (rows.after, columns.after)
        lattices[step.output] = joined
    return PlanRoute(step_px, splits, lattices)


def choose_route(plan: Plan, image: str, step_px: Pair) -> PlanRoute:
    """Returns the route of a plan for windows at multiples of `step_px` pixels.

    Raises:
        ModelError: scores lie between cells.
        OptionError: windows cannot lie there; the message lists what is possible.
    """
    reachable = list_reachable(plan.grid.stride_px, lambda step: make_plan_route(plan, image, step))
    check_reachable(reachable, step_px)
    route = make_plan_route(plan, image, step_px)
    ends = {output.tensor for output in (*plan.outputs, *plan.logits) if output.tensor}
    check_scores(route.lattices, ends, step_px)
    return route


def list_maps(step: Step) -> list[str]:
    """Returns the dense tensors that a step reads."""
    return [used for used in step.inputs if isinstance(used, str)]


class FragmentWriter(OnnxWriter):
    """Writes the nodes of one plan on fragments.

    Attributes:
        route: how.
    """

    def __init__(self, plan: Plan, captured: CapturedOnnx, route: PlanRoute) -> None:
        """Begins a model with its image."""
        super().__init__(plan, captured)
        self.route = route
        self.stride_px = route.step_px
        self.stacking = Stacking(OnnxAlgebra(self.builder), route.step_px)

    def write_steps(self) -> None:
        """Writes all steps and keeps their maps, each as one again."""
        image = str(self.image.name)
        stacks: dict[str, Stack[ir.Value]] = {image: self.stacking.begin(self.values[image])}
        for step in self.plan.steps:
            self.builder.begin(step.output)
            stacks[step.output] = self._write_on_fragments(step, stacks)
        ends = {output.tensor for output in (*self.plan.outputs, *self.plan.logits) if output.tensor}
        for name in dict.fromkeys([*ends, *(cut.tensor for cut in self.plan.cuts)]):
            self.builder.begin(f"{name}:whole")
            whole = self.stacking.interleave(stacks[name])
            if whole is not self.values.get(name):
                whole.type = stacks[name].tensor.type
                self.values[name] = self.builder.rename(whole, self.name(name))

    def _write_on_fragments(self, step: Step, stacks: Mapping[str, Stack[ir.Value]]) -> Stack[ir.Value]:
        names, splits = list_maps(step), self.route.splits.get(step.output)
        read = self.stacking.match([stacks[name] for name in names], [self.route.lattices[name] for name in names])
        edge = find_edge(step.op, self._find_kernel(step))
        made = self._run(step, edge, read, (1, 1) if splits is None else (splits[0].factor, splits[1].factor))
        self.builder.rename(made, f"{self.name(step.output)}:phases", step.node)
        stack = self.stacking.split(made, read[0], edge, splits)
        stack.tensor.dtype = self.find_dtype(step)
        self.builder.rename(stack.tensor, f"{self.name(step.output)}{'' if stack.is_whole else ':fragments'}")
        return stack

    def _run(self, step: Step, edge: Edge, read: Sequence[Stack[ir.Value]], factors: Pair) -> ir.Value:
        op = loosen_operation(step.op, factors)
        if edge.average is not None and (factors != (1, 1) or not read[0].is_whole):
            assert isinstance(op, WindowPool)  # nothing else averages
            return self.stacking.average(read[0], edge, op.kernel, op.stride)
        maps = [self.stacking.fill(map_, edge) for map_ in read]
        if isinstance(op, FoldMap):
            return self._fold(maps[0], op.block, factors)
        if isinstance(op, WindowPool) and op.ceil_mode and factors != (1, 1):
            maps, op = [self._reach(maps[0], edge)], replace(op, ceil_mode=False)
        surround = None if read[0].is_whole else partial(self._surround, read[0], edge)
        return self.lower(step, op, maps, surround)

    def _surround(self, map_: Stack[ir.Value], edge: Edge, x: ir.Value, kind: Kind) -> ir.Value:
        return self.stacking.surround(x, map_, edge, kind)

    def _find_kernel(self, step: Step) -> Pair:
        if not isinstance(step.op, Conv):
            return (1, 1)
        assert step.weights[0] is not None  # a convolution has a kernel
        shape = self.weights.add(step.weights[0], step).shape
        assert shape is not None  # that of a constant
        return int(shape[2]), int(shape[3])  # type: ignore[arg-type]

    def _reach(self, x: ir.Value, edge: Edge) -> ir.Value:
        """Returns a map with what a last placement of every phase may reach beyond the end."""
        down, right = (sliding.stride - 1 if sliding.ceil else 0 for sliding in edge.along)
        value = self.weights.make_scalar(float("-inf") if edge.fill == "least" else 0.0)
        return self.builder.add("Pad", [x, self.builder.numbers(0, 0, 0, 0, 0, 0, down, right), value])

    def _fold(self, x: ir.Value, block: Pair, factors: Pair) -> ir.Value:
        """Returns the blocks that begin at every phase as channels: each of their cells is a shifted map."""
        build = self.builder
        copies = []
        for row in range(block[0]):
            for column in range(block[1]):
                ends = [place + 1 - size or TO_THE_END for place, size in zip((row, column), block, strict=True)]
                steps = [size // factor for size, factor in zip(block, factors, strict=True)]
                part = build.slice(x, [2, 3], [row, column], ends, steps)
                copies.append(build.add("Unsqueeze", [part, build.numbers(2)]))
        joined = build.add("Concat", copies, axis=2) if len(copies) > 1 else copies[0]
        size = build.add("Shape", [joined], start=3, end=5)
        return build.add("Reshape", [joined, build.add("Concat", [build.numbers(0, -1), size], axis=0)])


def loosen_operation(op: Operation, factors: Pair) -> Operation:
    """Returns an operation with its stride divided along both axes; one that has none, as it is."""
    if isinstance(op, ToGrid):
        op = CropMap((0, 0), (0, 0), op.step)  # how many cells there are is decided at the end
    if isinstance(op, CropMap):
        return replace(op, step=_divide(op.step, factors))
    if isinstance(op, Conv | WindowPool | BinPool | WindowStatistic):
        return replace(op, stride=_divide(op.stride, factors))
    return op


def _divide(stride: Pair, factors: Pair) -> Pair:
    return stride[0] // factors[0], stride[1] // factors[1]
