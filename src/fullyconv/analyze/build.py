"""The bench that rules work at: it knows the fields so far and records steps, and forgets those of a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import lcm, prod

import numpy as np
from numpy.typing import NDArray

from fullyconv.analyze.factors import Axis, Factor, Kind, flatten, select
from fullyconv.analyze.fields import Field, Refusal, drop_factors, replace_factors
from fullyconv.analyze.folding import restore_map
from fullyconv.analyze.geometry import Line, Sliding
from fullyconv.analyze.plan import (
    BinPool,
    RewrittenLayer,
    ShiftedBias,
    ShuffleChannels,
    Step,
    ToGrid,
    Weight,
)
from fullyconv.analyze.rearrangement import Own
from fullyconv.graph import Constant, Node, Operation, Pair, Value


@dataclass(slots=True)
class Record:
    """What the rules decided so far."""

    steps: list[Step] = field(default_factory=list)
    layers: list[tuple[str, RewrittenLayer]] = field(default_factory=list)
    padding: list[tuple[str, str]] = field(default_factory=list)
    approximations: list[tuple[str, str]] = field(default_factory=list)
    align: bool = False


@dataclass(frozen=True, slots=True)
class Aim:
    """What a walk works towards.

    Attributes:
        grid_stride: the grid's, None while it is being found.
        windowed: nodes that run on windows because it was asked for.
        spread: nodes whose statistics of the window are approximated by sliding ones.
    """

    grid_stride: Pair | None = None
    windowed: frozenset[str] = frozenset()
    spread: frozenset[str] = frozenset()


class Build:
    """What a rule may ask and record while it handles one node."""

    def __init__(self, image: Value, constants: Mapping[str, Constant], aim: Aim) -> None:
        """Starts for an image at window size, `(batch, C, height, width)`."""
        self.window: Pair = (image.shape[2], image.shape[3])
        self.dtype = image.dtype
        self.aim = aim
        self.constants = constants
        self.record = Record()
        self._serial = 0
        self._uses: dict[str, int] = {}

    def mark(self) -> Record:
        """Returns a mark of what is recorded so far."""
        record = self.record
        return replace(
            record,
            steps=list(record.steps),
            layers=list(record.layers),
            padding=list(record.padding),
            approximations=list(record.approximations),
        )

    def forget(self, mark: Record) -> None:
        """Drops what was recorded since the mark."""
        self.record = mark

    def make_serial(self) -> int:
        """Returns a number that no channel factor has so far."""
        self._serial += 1
        return self._serial

    def make_channel(self, size: int) -> Axis:
        """Returns a new channel factor; none for size 1."""
        serial = self.make_serial()
        return (Factor(Kind.CHANNEL, size, (serial,)),) if size > 1 else ()

    def read_constant(self, name: str) -> NDArray[np.generic]:
        """Returns the values of a constant."""
        return self.constants[name].read()

    def emit(
        self,
        node: Node,
        op: Operation,
        inputs: tuple[str | Weight, ...],
        weights: tuple[Weight | ShiftedBias | Own | None, ...] = (),
    ) -> str:
        """Records a step and returns the name of its dense tensor."""
        base = node.outputs[0].name
        self._uses[base] = self._uses.get(base, 0) + 1
        name = base if self._uses[base] == 1 else f"{base}:{self._uses[base]}"
        self.record.steps.append(Step(op, inputs, weights, name, node.name))
        return name

    def note_layer(self, node: Node, layer: RewrittenLayer) -> None:
        """Records that a layer takes another form."""
        self.record.layers.append((node.name, layer))

    def note_approximation(self, node: Node, how: str) -> None:
        """Records that an operation is done otherwise than in the classifier, because that was asked for."""
        self.record.approximations.append((node.name, f"{node}: {how}"))

    def slide(self, node: Node, field: Field, slides: tuple[Sliding, Sliding]) -> tuple[Line, Line] | Refusal:
        """Returns the lines after a sliding operation, and notes what it does at a window's border."""
        reasons = []
        for line, sliding, axis in zip((field.y, field.x), slides, ("rows", "columns"), strict=True):
            if sliding.pads:
                reasons.append(f"pads {axis} by {sliding.before} and {sliding.after}")
            if sliding.ceil and sliding.count(line.extent) != replace(sliding, ceil=False).count(line.extent):
                reasons.append(f"rounds up at the end of the {axis}")
        if reasons and field.in_head:
            return Refusal(f"{reasons[0]} after the head began, where the border is the window's")
        if reasons:
            self.record.padding.append((node.name, f"{node}: {', '.join(reasons)}"))
        return field.y.slide(slides[0]), field.x.slide(slides[1])

    def contraction_step(self, line: Line, axis: int) -> int:
        """Returns the step in cells at which a window operation is evaluated: the grid's, once it is known."""
        return 1 if self.aim.grid_stride is None else max(self.aim.grid_stride[axis] // line.stride, 1)

    def settle(self, node: Node, field: Field) -> Field | Refusal:
        """Returns the field with nothing left to be done: a waiting adaptive pooling becomes bins as channels."""
        if field.parts:
            return Refusal("maps of different kinds are joined before an operation other than a linear layer")
        if field.affine:
            return Refusal("a scale and shift for each position comes before an operation that is not linear")
        return field if field.bins is None else self.pool_bins(node, field, "average", field.bins)

    def pool_bins(self, node: Node, field: Field, kind: str, bins: Pair) -> Field:
        """Returns the window's adaptive pooling with its bins as channels.

        The field's Y and X count bins already where the pooling was waiting, and cells where not.
        """
        steps = (self.contraction_step(field.y, 0), self.contraction_step(field.x, 1))
        op = BinPool(kind, field.extent, bins, steps)  # type: ignore[arg-type]
        tensor = self.emit(node, op, (field.tensor,))
        axes, channels = field.axes, field.channels
        outer: Axis = ()
        for kind_, size in ((Kind.Y, bins[0]), (Kind.X, bins[1])):
            old = select(flatten(axes), kind_)
            new = self.make_channel(size)
            axes = replace_factors(axes, old, new) if old else axes
            outer += new
        lines = (contract(field.y, steps[0]), contract(field.x, steps[1]))
        return Field(tensor, axes, outer + channels, *lines, in_head=True)

    def order_channels(self, node: Node, field: Field) -> Field:
        """Returns the field with its dense channels in the order of its axes."""
        return self.arrange_channels(node, field, field.logical_channels)

    def arrange_channels(self, node: Node, field: Field, wanted: Axis) -> Field:
        """Returns the field with its dense channels in another order."""
        if wanted == field.channels:
            return field
        sizes = tuple(factor.size for factor in field.channels)
        order = tuple(field.channels.index(factor) for factor in wanted)
        tensor = self.emit(node, ShuffleChannels(sizes, order), (field.tensor,))
        return replace(field, tensor=tensor, channels=wanted)

    def prepare(self, node: Node, field: Field) -> Field | Refusal:
        """Returns the field settled and with its channels in order."""
        settled = self.settle(node, field)
        return settled if isinstance(settled, Refusal) else self.order_channels(node, settled)

    def prepare_map(self, node: Node, field: Field) -> Field | Refusal:
        """Returns the field as a map `(N, C, H, W)`, ready for an operation that slides over it."""
        ready = self.prepare(node, field)
        if isinstance(ready, Refusal) or ready.is_standard():
            return ready
        restored = restore_map(node, ready, self) if len(ready.axes) == 4 else ready
        if isinstance(restored, Refusal) or restored.is_standard():
            return restored
        if field.bins is not None:
            return Refusal("slides over the bins of an adaptive pool")
        return Refusal(f"expected a map (batch, channels, rows, columns), got axes of another kind {field.shape}")

    def meet(self, node: Node, fields: list[Field]) -> list[Field] | Refusal:
        """Returns fields that can be joined cell by cell, with equally many cells on every image."""
        ready = []
        for value in fields:
            prepared = self.prepare(node, value)
            if isinstance(prepared, Refusal):
                return prepared
            ready.append(prepared)
        if len({value.extent for value in ready}) > 1:
            restored = [restore_map(node, value, self) for value in ready]
            ready = [value for value in restored if isinstance(value, Field)]
            if len(ready) < len(restored):
                return next(value for value in restored if isinstance(value, Refusal))
        if len({value.extent for value in ready}) > 1:
            return Refusal("a value of the whole window meets the map that it came from", "inputs")
        if all(value.is_window_vector for value in ready) and not self._agree(ready):
            return self.bring_together(node, ready)
        if len({value.stride for value in ready}) > 1:
            return Refusal("maps of different strides meet")
        self.record.align = self.record.align or not self._agree(ready)
        return ready

    def bring_together(self, node: Node, vectors: list[Field]) -> list[Field]:
        """Returns window vectors with the same windows: those at the common multiple of their strides."""
        stride = lcm(*(value.y.period for value in vectors)), lcm(*(value.x.period for value in vectors))
        return [self.bring_to_grid(node, value, stride) for value in vectors]

    def bring_to_grid(self, node: Node, value: Field, stride: Pair) -> Field:
        """Returns a window vector at every `stride` pixels, as many as there are windows."""
        step = (stride[0] // value.y.stride, stride[1] // value.x.stride)
        tensor = self.emit(node, ToGrid(step, stride), (value.tensor,))
        counting = tuple(Sliding(size, pixels) for size, pixels in zip(self.window, stride, strict=True))
        y = replace(value.y, stride=stride[0], slides=(counting[0],), period=stride[0])
        x = replace(value.x, stride=stride[1], slides=(counting[1],), period=stride[1])
        return replace(value, tensor=tensor, y=y, x=x)

    def _agree(self, fields: list[Field]) -> bool:
        first = fields[0]
        return all(
            value.stride == first.stride
            and first.y.agrees(value.y, self.window[0])
            and first.x.agrees(value.x, self.window[1])
            for value in fields[1:]
        )


def contract(line: Line, step: int) -> Line:
    """Returns the line after an operation over all of a window's cells, evaluated at every `step` cells."""
    return line.slide(Sliding(kernel=line.extent, stride=step))


def join_lines(fields: list[Field]) -> tuple[Line, Line]:
    """Returns the lines of a value that depends on one cell of each field."""
    y, x = fields[0].y, fields[0].x
    for value in fields[1:]:
        y, x = y.join(value.y), x.join(value.x)
    return y, x


def drop_map(field: Field) -> Field:
    """Returns the field without Y and X among its axes."""
    return field.with_axes(drop_factors(field.axes, (Kind.Y, Kind.X)))


def count_channels(field: Field) -> int:
    """Returns the number of channels of the dense tensor."""
    return prod(factor.size for factor in field.channels)
