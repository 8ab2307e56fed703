"""Products of two values of the image, cell by cell: each cell's channels are matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from fullyconv.analyze.build import Build, join_lines
from fullyconv.analyze.factors import Axis, Kind, flatten, select
from fullyconv.analyze.fields import Field, Refusal
from fullyconv.analyze.rearrangement import MultiplyMatrices
from fullyconv.analyze.spans import describe_axis
from fullyconv.graph import Contract, Node

_MIXES = "may mix the values of a whole window"


@dataclass(frozen=True, slots=True)
class _Side:
    """One of two values, its axes by the letters that name them."""

    field: Field
    letters: str

    def read(self, letter: str) -> Axis:
        return self.field.axes[self.letters.index(letter)]

    def gather(self, letters: str) -> Axis:
        """Returns the channels of some axes, in the order of the letters."""
        return select(flatten(tuple(self.read(letter) for letter in letters)), Kind.CHANNEL)

    def may_span_window(self, letters: str) -> bool:
        return self.field.may_span_window(self.letters.index(letter) for letter in letters)


def multiply_fields(node: Node, op: Contract, fields: list[Field], build: Build) -> Field | Refusal:
    """Returns the sum of products of two fields.

    What both have and the result keeps may be anything: there each cell, or each of its channels, meets its like.
    All other axes must be channels. Refused: a sum over rows, columns or the batch, or all pairs of them, which mixes
    the cells of a window; all pairs of the cells of a block, which would spread the windows by whole blocks.

    Args:
        node: the node that multiplies.
        op: with letters for the axes of both.
        fields: both.
        build: records the steps.
    """
    if len({value.extent for value in fields}) > 1:
        return Refusal(_MIXES)
    met = build.meet(node, fields)
    if isinstance(met, Refusal):
        return met
    first, second = (_Side(value, letters) for value, letters in zip(met, op.letters, strict=True))
    shared = "".join(letter for letter in op.result if letter in first.letters and letter in second.letters)
    inner = "".join(letter for letter in first.letters if letter in second.letters and letter not in op.result)
    own = ["".join(letter for letter in side.letters if letter not in shared + inner) for side in (first, second)]
    summed_alone = [side.read(letter) for side, letters in ((first, own[0]), (second, own[1]))
                    for letter in letters if letter not in op.result]  # fmt: skip
    if any(summed_alone):
        return Refusal("sums over an axis that only one of two values has")
    if any(value.is_spread for value in met) or not _is_cell_by_cell(first, second, (shared, inner), own):
        return Refusal(_MIXES)
    if any(factor.is_folded for factor in (*first.gather(own[0]), *second.gather(own[1]))):
        return Refusal("mixes the cells of a block")
    rows, columns = ("".join(letter for letter in op.result if letter in letters) for letters in own)
    orders = first.gather(shared + rows + inner), second.gather(shared + inner + columns)
    ready = [build.arrange_channels(node, value, order) for value, order in zip(met, orders, strict=True)]
    sizes = (_count(first, shared), _count(first, rows), _count(first, inner), _count(second, columns))
    tensor = build.emit(node, MultiplyMatrices(*sizes), tuple(value.tensor for value in ready))
    new = {letter: build.make_channel(_count(side, letter)) for side, side_letters in ((first, rows), (second, columns))
           for letter in side_letters}  # fmt: skip
    channels = (*first.gather(shared), *flatten(tuple(new[letter] for letter in rows + columns)))
    axes = tuple(new[letter] if letter in new else first.read(letter) for letter in op.result)
    y, x = join_lines(met)
    spans = first.may_span_window(own[0] + inner) or second.may_span_window(own[1] + inner)
    in_head = spans or any(value.in_head for value in met)
    return replace(met[0], tensor=tensor, axes=axes, channels=channels, y=y, x=x, in_head=in_head)


def _is_cell_by_cell(first: _Side, second: _Side, both: tuple[str, str], own: list[str]) -> bool:
    shared, inner = both
    pairs = [(first.read(letter), second.read(letter)) for letter in shared + inner]
    alone = [axis for side, letters in ((first, own[0]), (second, own[1])) for axis in map(side.read, letters)]
    mixed = (*alone, *map(first.read, inner))
    return all(describe_axis(a) == describe_axis(b) for a, b in pairs) and all(
        select(axis, Kind.CHANNEL) == axis for axis in mixed
    )


def _count(side: _Side, letters: str) -> int:
    return prod(factor.size for factor in side.gather(letters))
