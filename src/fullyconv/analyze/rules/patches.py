"""Patches of a map laid out as channels, and summed up where they overlap: im2col and col2im."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from fullyconv.analyze.build import Build, count_channels
from fullyconv.analyze.factors import Kind, flatten, select
from fullyconv.analyze.fields import Field, Refusal, make_map_axes
from fullyconv.analyze.folding import fold_map, refine_lines, unfold_map
from fullyconv.analyze.geometry import Line, Sliding
from fullyconv.analyze.plan import CropMap
from fullyconv.analyze.rearrangement import Taps, UnfoldMap
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.graph import Conv, Node, Pair
from fullyconv.patches import Overlap, Patches

# A kernel has a number for each pair of its places and each channel: so many are 64 MB.
_MOST_TAPS = 1 << 24
_TOO_LARGE = "its patches overlap and are too large to be picked by a convolution"


@rule(Patches)
def carry_patches(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Each place of a kernel becomes a column of the values that it covers.

    1. Side by side: blocks of cells become channels.
    2. Else: a convolution that picks the values.

    Channels, then the kernel's rows and columns, are channels; rows and columns of the map become one axis.
    Refused: axes that are not `(N, C, H, W)`; padding after the head began; large kernels that overlap.
    """
    assert isinstance(node.op, Patches)
    rows, columns = _read_axes(node.op)
    field = build.prepare_map(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if field.is_spread:
        return Refusal("its kernel reaches beside a statistic of the window")
    if rows.tiles and columns.tiles:
        laid = fold_map(node, field, (build.make_channel(rows.kernel), build.make_channel(columns.kernel)), build)
    else:
        picked = _pick_values(node, field, (rows, columns), build)
        if isinstance(picked, Refusal):
            return picked
        laid = picked
    batch, _, y, x = make_map_axes(field.axes[0], (), laid.extent)
    return (laid.with_axes((batch, laid.channels, (*y, *x))),)


def _pick_values(node: Node, field: Field, axes: tuple[_Axis, _Axis], build: Build) -> Field | Refusal:
    rows, columns = axes
    lines = build.slide(node, field, (rows.slide(), columns.slide()))
    if isinstance(lines, Refusal):
        return lines
    kernel, channels, places = (rows.kernel, columns.kernel), count_channels(field), rows.kernel * columns.kernel
    taps = Taps((places, 1, *kernel), tuple(place * places + place for place in range(places)), channels)
    if taps.count > _MOST_TAPS:
        return Refusal(_TOO_LARGE)
    padding = (rows.padding, rows.padding), (columns.padding, columns.padding)
    conv = Conv((rows.stride, columns.stride), padding, (rows.dilation, columns.dilation), channels)
    tensor = build.emit(node, conv, (field.tensor,), (taps, None))
    inner = (*field.channels, *build.make_channel(kernel[0]), *build.make_channel(kernel[1]))
    return replace(field, tensor=tensor, channels=inner, y=lines[0], x=lines[1])


@rule(Overlap)
def carry_overlap(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """The reverse adds up columns of values where their places overlap.

    1. Side by side: channels become blocks of cells.
    2. Else each cell becomes as many as the stride says: a convolution adds what belongs to each of them, they are
       laid out as cells, and what is beyond the output's size is cut off.

    Refused: columns of another number than the places on the output, or not in their order; cells smaller than a
    pixel; places that overlap after the head began; large kernels that overlap.
    """
    op = node.op
    assert isinstance(op, Overlap)
    rows, columns = _read_axes(op.patches)
    field = build.prepare(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    height, width = op.size
    if not _holds_columns(field, (rows.slide().count(height), columns.slide().count(width))):
        return Refusal("adds up columns that are not those of a map in their order")
    made = add_up_columns(node, field, op.patches, op.size, build)
    if isinstance(made, Refusal):
        return made
    return (made.with_axes(make_map_axes(field.axes[0], made.channels, made.extent)),)


def add_up_columns(node: Node, field: Field, op: Patches, size: Pair, build: Build) -> Field | Refusal:
    """Returns a map of `size` cells at window size, to which each cell's column of values was added.

    Args:
        node: the node that adds.
        field: a map; its channels are a column, the kernel's rows and columns last.
        op: where a column's values go.
        size: `(height, width)`.
        build: records the steps.
    """
    axes = _read_axes(op)
    rows, columns = axes[0].overlap(field.y, size[0]), axes[1].overlap(field.x, size[1])
    kept = build.make_channel(count_channels(field) // (rows.axis.kernel * columns.axis.kernel))
    if rows.is_tiled and columns.is_tiled:
        inner = build.make_channel(rows.axis.kernel), build.make_channel(columns.axis.kernel)
        return unfold_map(node, replace(field, channels=(*kept, *inner[0], *inner[1])), inner, build)
    lines = build.slide(node, field, (rows.slide(), columns.slide()))
    lines = lines if isinstance(lines, Refusal) else refine_lines(lines, (rows.axis.stride, columns.axis.stride))
    if isinstance(lines, Refusal):
        return lines
    channels = prod(factor.size for factor in kept)
    padding = (rows.before, rows.after), (columns.before, columns.after)
    taps = _make_taps(rows, columns, channels)
    if taps.count > _MOST_TAPS:
        return Refusal(_TOO_LARGE)
    tensor = build.emit(node, Conv((1, 1), padding, (1, 1), channels), (field.tensor,), (taps, None))
    block = rows.axis.stride, columns.axis.stride
    if block != (1, 1):
        tensor = build.emit(node, UnfoldMap(block), (tensor,))
    if (rows.rest, columns.rest) != (0, 0):
        tensor = build.emit(node, CropMap((0, 0), (rows.rest, columns.rest), (1, 1)), (tensor,))
        lines = lines[0].slide(Sliding(after=-rows.rest)), lines[1].slide(Sliding(after=-columns.rest))
    return replace(field, tensor=tensor, channels=kept, y=lines[0], x=lines[1])


@dataclass(frozen=True, slots=True)
class _Axis:
    """How a kernel lies along one axis."""

    kernel: int
    dilation: int
    padding: int
    stride: int

    @property
    def tiles(self) -> bool:
        """Whether its places lie side by side from the first cell on."""
        return (self.kernel, self.dilation, self.padding) == (self.stride, 1, 0)

    def slide(self) -> Sliding:
        return Sliding((self.kernel - 1) * self.dilation + 1, self.stride, self.padding, self.padding)

    def find_tap(self, phase: int, shift: int) -> int | None:
        """Returns which value of a column goes to a cell, None where none does.

        Of the column `shift` after the one with the same number as the block of `stride` cells in which the cell is
        the one numbered `phase`.
        """
        tap, rest = divmod(phase + self.padding - shift * self.stride, self.dilation)
        return tap if not rest and 0 <= tap < self.kernel else None

    def overlap(self, line: Line, cells: int) -> _Overlap:
        """Returns how columns add up to so many cells."""
        reach = (self.kernel - 1) * self.dilation
        first = min(-((reach - self.padding) // self.stride), 0)
        last = max((self.stride - 1 + self.padding) // self.stride, 0)
        blocks = max(-(-cells // self.stride), line.extent)
        return _Overlap(self, -first, last, last + blocks - line.extent, blocks * self.stride - cells)


@dataclass(frozen=True, slots=True)
class _Overlap:
    """How columns add up along one axis.

    Attributes:
        axis: their kernel.
        before: how many columns before a block of cells reach it, at most.
        reach: how many columns after it do.
        after: columns that are missing behind the last one.
        rest: cells of the last blocks that the output has not.
    """

    axis: _Axis
    before: int
    reach: int
    after: int
    rest: int

    @property
    def is_tiled(self) -> bool:
        """Whether each cell is one value of one column."""
        return self.axis.tiles and (self.after, self.rest) == (0, 0)

    def slide(self) -> Sliding:
        return Sliding(self.before + self.reach + 1, 1, self.before, self.after)

    def list_taps(self) -> list[list[int | None]]:
        """Returns, for each cell of a block and each column that may reach it, which value of the column goes there."""
        shifts = range(-self.before, self.reach + 1)
        return [[self.axis.find_tap(phase, shift) for shift in shifts] for phase in range(self.axis.stride)]


def _make_taps(rows: _Overlap, columns: _Overlap, channels: int) -> Taps:
    """Returns a kernel that adds what belongs to each cell of a block."""
    height, width = rows.slide().kernel, columns.slide().kernel
    shape = rows.axis.stride * columns.axis.stride, rows.axis.kernel * columns.axis.kernel, height, width
    ones = []
    for i, row_taps in enumerate(rows.list_taps()):
        for j, column_taps in enumerate(columns.list_taps()):
            pairs = [(y, x) for y in range(height) for x in range(width)]
            for y, x in pairs:
                row, column = row_taps[y], column_taps[x]
                if row is not None and column is not None:
                    cell, value = i * columns.axis.stride + j, row * columns.axis.kernel + column
                    ones.append(((cell * shape[1] + value) * height + y) * width + x)
    return Taps(shape, tuple(ones), channels)


def _holds_columns(field: Field, places: Pair) -> bool:
    """Returns whether a value `(N, columns' values, places)` has a column for each cell of its map, in their order."""
    if len(field.axes) != 3 or field.is_spread or not field.is_channel_axis(1) or field.extent != places:
        return False
    kinds = [factor.kind for factor in field.axes[2]]
    return kinds == [kind for kind, cells in zip((Kind.Y, Kind.X), places, strict=True) if cells > 1] and not select(
        flatten(field.axes[:1]), Kind.CHANNEL
    )


def _read_axes(op: Patches) -> tuple[_Axis, _Axis]:
    rows, columns = (_Axis(*numbers) for numbers in zip(op.kernel, op.dilation, op.padding, op.stride, strict=True))
    return rows, columns
