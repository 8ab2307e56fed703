"""Operations that only re-order the book-keeping: reshaping, transposing, and doing nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from math import prod

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import Factor, Kind, Regrouping, flatten, regroup, select
from fullyconv.analyze.fields import Field, Refusal, make_map_axes
from fullyconv.analyze.folding import fold_map, restore_map
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.rules.channels import take_channels
from fullyconv.graph import Expand, Gather, Identity, Node, Permute, Regroup, Shape


@rule(Identity)
def carry_identity(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Dropout at evaluation, copies and the like change nothing."""
    return (get_field(inputs),)


@rule(Expand)
def carry_expand(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Repeats axes of size 1.

    1. A statistic of the window around each cell has its rows and columns already.
    2. Channels of a map, or of a value that has none: they are repeated.

    Refused: a value of the whole window that is spread over the map; other axes.
    """
    field, shape = get_field(inputs), node.outputs[0].shape
    if len(shape) == len(field.axes):
        grown = {axis for axis, size in enumerate(shape) if size != field.shape[axis]}
        if field.is_spread and len(shape) == 4 and grown <= {2, 3}:
            axes = make_map_axes(field.axes[0], field.axes[1], field.extent)
            return (replace(field, axes=axes, is_spread=False),)
        if not field.is_spread and not (field.is_window_vector and field.channels):
            return _repeat(node, field, shape, build)
    return Refusal("a value of the whole window is spread over the map", "inputs")


@rule(Permute)
def carry_permute(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Axes trade places; the dense tensor stays."""
    op = node.op
    assert isinstance(op, Permute)
    field = get_field(inputs)
    return (field.with_axes(tuple(field.axes[axis] for axis in op.order)),)


@rule(Regroup)
def carry_regroup(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Factors are shared out among the new axes; the dense tensor stays.

    Rows or columns that are split, `(rows, cells in a row)`, become fewer and their cells channels: the map
    becomes coarser, as by a stride. Refused: a reshape that splits the batch, or anything unevenly.
    """
    field, shape, serial = get_field(inputs), node.outputs[0].shape, build.make_serial()
    regrouping = regroup(field.axes, shape, serial)
    if regrouping is None or regrouping.folds:
        ready = build.prepare(node, field)  # where bins were waiting, they are channels then
        if isinstance(ready, Refusal):
            return ready
        field = ready if regrouping else _merge_channels(node, ready, build)
        regrouping = regroup(field.axes, shape, serial)
    if regrouping is None:
        return Refusal("its reshape splits the batch, or splits unevenly")
    field = _fold(node, field, regrouping, build)
    channels = field.channels
    for whole, parts in regrouping.splits:
        if whole in channels:
            place = channels.index(whole)
            channels = (*channels[:place], *parts, *channels[place + 1 :])
    return (replace(field, axes=regrouping.axes, channels=channels),)


def _merge_channels(node: Node, field: Field, build: Build) -> Field:
    """Returns a prepared field, its axes flattened, with all that lies together as one factor, to be split elsewhere.

    Cells within a row that come after the rows become rows; then each run of channel factors becomes one.
    """
    restored = restore_map(node, field, build)
    field = field if isinstance(restored, Refusal) else restored
    merged: list[Factor] = []
    for kind, run in groupby(flatten(field.axes), key=lambda factor: factor.kind):
        factors = tuple(run)
        merged += build.make_channel(prod(f.size for f in factors)) if kind is Kind.CHANNEL else factors
    return replace(field, axes=(tuple(merged),), channels=select(tuple(merged), Kind.CHANNEL))


def _fold(node: Node, field: Field, regrouping: Regrouping, build: Build) -> Field:
    if not regrouping.folds:
        return field
    inner = {whole.kind: parts[1:] for whole, parts in regrouping.folds}
    return fold_map(node, field, (inner.get(Kind.Y, ()), inner.get(Kind.X, ())), build)


def _repeat(node: Node, field: Field, shape: Shape, build: Build) -> Outcome:
    ready = build.prepare(node, field)
    if isinstance(ready, Refusal):
        return ready
    for axis, (size, wanted) in enumerate(zip(field.shape, shape, strict=True)):
        if size != wanted:
            if axis == 0:
                return Refusal("repeats the batch")
            ready = take_channels(node, ready, Gather(axis, (0,) * wanted), build)
    return (ready,)
