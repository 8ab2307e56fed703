"""Fully connected layers: contractions over channels, or over channels and the window's rows and columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from fullyconv.analyze.build import Build, contract, count_channels, join_lines
from fullyconv.analyze.factors import Axis, Kind, select
from fullyconv.analyze.fields import Field, Refusal
from fullyconv.analyze.folding import restore_map
from fullyconv.analyze.plan import Add, Layout, RewrittenLayer, ShiftedBias, Weight
from fullyconv.analyze.rearrangement import MultiplyMatrices
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Conv, Dense, Node, Pair, Shape


@dataclass(frozen=True, slots=True)
class Matrix:
    """A constant that is multiplied with the last axis of a value: how its axes are seen.

    Attributes:
        weight: the constant's name.
        bias: a constant's name, or "".
        view: the constant's axes, each as the factors that it counts.
        outputs: places in `view` that count outputs, in the order of the outputs.
        inputs: places in `view` of the factors of the value's last axis, in that order.
        columns: the half-open range of the constant's second axis that is used, None for all.
    """

    weight: str
    bias: str
    view: Shape
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    columns: Pair | None = None

    @property
    def count(self) -> int:
        """The number of outputs."""
        return prod(self.view[place] for place in self.outputs)


@rule(Dense)
def carry_dense(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A fully connected layer is a convolution.

    1. Over channels only: a 1x1 convolution.
    2. Over channels, rows and columns, flattened in any order: a convolution whose kernel is the trained feature
       map's size, its weights re-ordered. An adaptive average pooling and per-position scales fold into it.
    3. Over channels and one of rows and columns: a kernel of one row, or of one column.
    4. Over several flattened maps, joined: a convolution of each, and the sum.
    5. Over a part of the channels, as of the columns within a block of cells: the same product for all others.

    Its weights may be written either way round, as a product with a matrix has them.
    Refused: weights that depend on the image; an axis with rows, columns or the batch that leaves channels out; all
    cells of a block alike, as in attention within blocks, which would spread the windows by whole blocks.
    """
    if any(value is not None for value in inputs[1:]):
        return Refusal("its weights depend on the image")
    field = get_field(inputs)
    if field.parts:
        return _carry_joint(node, field, build)
    if field.is_settled and set(field.axes[-1]) < set(field.channels):
        restored = restore_map(node, field, build)
        field = field if isinstance(restored, Refusal) else restored
    return contract_last(node, field, _see_matrix(node, field.axes[-1], build), build)


def _see_matrix(node: Node, factors: Axis, build: Build, columns: Pair | None = None) -> Matrix:
    assert isinstance(node.op, Dense)
    sizes = tuple(factor.size for factor in factors)
    shape, inner = build.constants[node.inputs[1]].shape, range(len(sizes))
    if node.op.transposed:
        return Matrix(node.inputs[1], node.inputs[2], (*sizes, shape[1]), (len(sizes),), tuple(inner))
    return Matrix(node.inputs[1], node.inputs[2], (shape[0], *sizes), (0,), tuple(1 + i for i in inner), columns)


def _carry_joint(node: Node, field: Field, build: Build) -> Outcome:
    assert isinstance(node.op, Dense)
    if field.axes[-1] != field.channels or field.affine or node.op.transposed:
        return Refusal("maps of different kinds are joined before an operation other than a linear layer")
    vectors, start = [], 0
    for part in field.parts:
        matrix = _see_matrix(node, part.axes[-1], build, (start, start + part.shape[1]))
        outcome = contract_last(node, part, matrix, build)
        if isinstance(outcome, Refusal):
            return outcome
        vectors.append(outcome[0])
        start += part.shape[1]
    met = build.bring_together(node, vectors)
    tensor = build.emit(node, Add(), tuple(vector.tensor for vector in met))
    y, x = join_lines(met)
    return (replace(met[0], tensor=tensor, y=y, x=x, in_head=True),)


def contract_last(node: Node, field: Field, matrix: Matrix, build: Build) -> Outcome:
    """Returns the product of a field's last axis with a matrix, as a convolution, or why it cannot be one."""
    factors = field.axes[-1]
    if _is_part(field, factors):
        return _multiply_part(node, field, matrix, build)
    if set(select(factors, Kind.CHANNEL)) != set(field.channels) or select(factors, Kind.BATCH):
        return Refusal("reads a part of the channels at a time, or the batch")
    kinds = {factor.kind for factor in factors}
    if field.bins and any(select(axis, Kind.Y, Kind.X) for axis in field.axes[:-1]):
        ready = build.settle(node, field)
        return ready if isinstance(ready, Refusal) else contract_last(node, ready, matrix, build)
    if field.affine and {Kind.Y, Kind.X} - kinds and any(select(a, Kind.Y, Kind.X) for a in field.axes[:-1]):
        return Refusal("a scale and shift for each position comes before it, and it reads only some positions")
    covered = tuple(
        line.extent if kind in kinds or field.bins else 1 for kind, line in ((Kind.Y, field.y), (Kind.X, field.x))
    )
    return (_convolve(node, field, (covered[0], covered[1]), matrix, build),)


def _is_part(field: Field, factors: Axis) -> bool:
    """Returns whether an axis is some of the channels, and the others are not the cells that they belong to."""
    others = set(field.channels) - set(factors)
    is_whole = not any(factor.is_folded for factor in factors)
    return (
        bool(factors)
        and set(factors) < set(field.channels)
        and not (is_whole and any(factor.is_folded for factor in others))
    )


def _multiply_part(node: Node, field: Field, matrix: Matrix, build: Build) -> Outcome:
    """Returns the product of a part of the channels with a matrix, for all others alike."""
    ready = build.settle(node, field)
    if isinstance(ready, Refusal):
        return ready
    factors = field.axes[-1]
    others = tuple(factor for factor in ready.logical_channels if factor not in factors)
    ready = build.arrange_channels(node, ready, (*others, *factors))
    rows, inner = (prod(factor.size for factor in part) for part in (others, factors))
    order = (*matrix.inputs, *matrix.outputs)
    full = tuple(matrix.view[place] for place in order)
    weight = Weight(matrix.weight, Layout(matrix.view, order, full, (1, inner * matrix.count, 1, 1)))
    tensor = build.emit(node, MultiplyMatrices(1, rows, inner, matrix.count), (ready.tensor, weight))
    if matrix.bias:
        spread = Layout((1, matrix.count), (0, 1), (rows, matrix.count), (rows * matrix.count, 1, 1))
        tensor = build.emit(node, Add(), (tensor, Weight(matrix.bias, spread)))
    new = build.make_channel(matrix.count)
    return (replace(ready, tensor=tensor, axes=(*ready.axes[:-1], new), channels=(*others, *new)),)


def _convolve(node: Node, field: Field, kernel: Pair, matrix: Matrix, build: Build) -> Field:
    weight = _make_kernel(field, kernel, matrix)
    steps = [
        build.contraction_step(line, axis) if size > 1 else 1
        for axis, (line, size) in enumerate(zip((field.y, field.x), kernel, strict=True))
    ]
    bias = _make_bias(field, matrix, weight)
    op = Conv((steps[0], steps[1]), ((0, 0), (0, 0)), (1, 1), 1)
    tensor = build.emit(node, op, (field.tensor,), (weight, bias))
    _note(node, field, matrix.count, kernel, build)
    y, x = (
        contract(line, step) if size > 1 else line
        for line, size, step in zip((field.y, field.x), kernel, steps, strict=True)
    )
    channels = build.make_channel(matrix.count)
    left_map = len(field.axes) <= 2 and not field.is_spread
    in_head = field.in_head or max(kernel) > 1 or left_map
    axes = (*field.axes[:-1], channels)
    return Field(tensor, axes, channels, y, x, in_head=in_head, is_spread=field.is_spread)


def _make_kernel(field: Field, kernel: Pair, matrix: Matrix) -> Weight:
    """Returns the trained matrix as a kernel `(K, C, kh, kw)`, in the dense tensor's channel order."""
    factors = field.axes[-1]
    inner: Axis = (*field.channels, *select(factors, Kind.Y), *select(factors, Kind.X))
    order = (*matrix.outputs, *(matrix.inputs[factors.index(factor)] for factor in inner))
    full = tuple(matrix.view[i] for i in order)
    rows, columns = (prod(factor.size for factor in select(factors, kind)) for kind in (Kind.Y, Kind.X))
    layout = Layout(matrix.view, order, full, (matrix.count, count_channels(field), rows, columns))
    bins = ((rows, kernel[0]), (columns, kernel[1])) if field.bins else None
    return Weight(matrix.weight, layout, bins, field.affine, matrix.columns)


def _make_bias(field: Field, matrix: Matrix, weight: Weight) -> Weight | ShiftedBias | None:
    is_first = matrix.columns is None or matrix.columns[0] == 0  # of several parts one has the bias
    name = matrix.bias if is_first else ""
    if field.affine:
        return ShiftedBias(name, weight)
    return Weight(name) if name else None


def _note(node: Node, field: Field, outputs: int, kernel: Pair, build: Build) -> None:
    folded = ["adaptive pooling folded in"] if field.bins else []
    folded += ["scale and shift folded in"] if field.affine else []
    old_shape, new_shape = (outputs, field.shape[-1]), (outputs, count_channels(field), *kernel)
    name = node.layer or node.name
    build.note_layer(node, RewrittenLayer(name, "linear", old_shape, new_shape, ", ".join(folded)))
