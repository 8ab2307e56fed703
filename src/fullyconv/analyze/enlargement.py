"""Each cell of a map divided into several cells, by repeating its value or by interpolating."""

from __future__ import annotations

from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.fields import Field, Refusal
from fullyconv.analyze.folding import refine_lines
from fullyconv.analyze.geometry import Sliding
from fullyconv.graph import Gather, Node, Upsample

# How many cells before and after a cell its new cells are made of.
_REACHES = {"nearest": 0, "linear": 1, "cubic": 2}


def enlarge_map(node: Node, field: Field, op: Upsample, build: Build) -> Field | Refusal:
    """Returns a prepared field on a map with more, smaller cells; its axes are those from before.

    Interpolation reads the cells around, and at the border the nearest cell in place of those that are not there:
    it is what a padded convolution would be, and is noted like one.
    Refused: interpolation by a factor that is no power of two, since the place of a cell, which frameworks compute
    in float32, is then rounded, and the more the further it lies from the image's origin; cells smaller than a
    pixel; interpolation after the head began.

    Args:
        node: the node that enlarges.
        field: settled, its channels in order.
        op: by whole factors.
        build: records the step.
    """
    assert op.times is not None
    if op.kind != "nearest" and any(times & (times - 1) for times in op.times):
        return Refusal("interpolates by a factor that is no power of two")
    rows, columns = (_REACHES[op.kind] if times > 1 else 0 for times in op.times)
    around = Sliding(2 * rows + 1, 1, rows, rows), Sliding(2 * columns + 1, 1, columns, columns)
    lines = build.slide(node, field, around)
    if isinstance(lines, Refusal):
        return lines
    lines = refine_lines(lines, op.times)
    if isinstance(lines, Refusal):
        return lines
    return replace(field, tensor=build.emit(node, op, (field.tensor,)), y=lines[0], x=lines[1])


def find_repetition(op: Gather, size: int) -> int | None:
    """Returns how often each place of an axis is repeated in a row, None where it is anything else.

    >>> find_repetition(Gather(2, (0, 0, 1, 1)), 2)
    2
    >>> find_repetition(Gather(2, (0, 1, 0, 1)), 2) is None
    True
    """
    times = len(op.indices) // size
    repeated = tuple(place for place in range(size) for _ in range(times))
    return times if times and op.indices == repeated else None
