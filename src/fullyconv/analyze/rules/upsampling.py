"""Maps made finer: each cell becomes several cells, by repeating its value or by interpolating."""

from __future__ import annotations

from fullyconv.analyze.build import Build
from fullyconv.analyze.enlargement import enlarge_map
from fullyconv.analyze.fields import Field, Refusal, make_map_axes
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.rules.arrangement import carry_expand
from fullyconv.graph import Node, Upsample


@rule(Upsample)
def carry_upsampling(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """Each cell becomes several cells; windows lie no closer than before.

    Refused: other than whole factors; axes that are not `(N, C, H, W)`; a value of the whole window, which is spread
    over the map; what `enlarge_map` refuses.
    """
    op = node.op
    assert isinstance(op, Upsample)
    if op.times is None:
        return Refusal("resizes by no whole factor, or not from the middle of each cell")
    field = build.prepare_map(node, get_field(inputs))
    if isinstance(field, Refusal):
        return field
    if op.times == (1, 1):
        return (field,)
    if field.is_spread or _is_pooled(field, op):
        return carry_expand(node, (field,), build)
    larger = enlarge_map(node, field, op, build)
    if isinstance(larger, Refusal):
        return larger
    return (larger.with_axes(make_map_axes(field.axes[0], field.axes[1], larger.extent)),)


def _is_pooled(field: Field, op: Upsample) -> bool:
    assert op.times is not None
    return field.in_head and any(cells == 1 < times for cells, times in zip(field.extent, op.times, strict=True))
