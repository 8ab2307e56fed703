"""Similarities and distances from constant vectors as ATen calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fullyconv.analyze.likeness import CosineSimilarity, Distance
from fullyconv.capture.calls import Call, Ref
from fullyconv.rewrite.lowering import Lowering
from fullyconv.rewrite.program import Instruction

# Not by a matrix product, which loses the digits of small distances between long vectors.
_WITHOUT_PRODUCTS = 2


def _lower_cosine(low: Lowering) -> list[Instruction]:
    """Unit vectors first, as ATen has it, then their products: the vectors are not repeated for each cell.

    Vectors of longer numbers make longer numbers of the cells.
    """
    op: CosineSimilarity = low.op
    (vectors,) = low.weights
    assert vectors is not None
    name = low.step.output
    same = Call("aten.type_as.default", (Ref(low.inputs[0]), vectors), outputs=(f"{name}/same",))
    unit = [
        call
        for source, end in ((Ref(f"{name}/same"), f"{name}/cells"), (vectors, f"{name}/vectors"))
        for call in (
            Call("aten.linalg_vector_norm.default", (source, 2, [1], True), outputs=(f"{end}/length",)),
            Call("aten.clamp_min.default", (Ref(f"{end}/length"), op.eps), outputs=(f"{end}/least",)),
            Call("aten.div.Tensor", (source, Ref(f"{end}/least")), outputs=(end,)),
        )
    ]
    return [same, *unit, Call("aten.conv2d.default", (Ref(f"{name}/cells"), Ref(f"{name}/vectors")), outputs=(name,))]


def _lower_distance(low: Lowering) -> list[Instruction]:
    op: Distance = low.op
    return low.chain(
        ("aten.permute.default", ([0, 2, 3, 1],)),
        ("aten.cdist.default", (low.weights[0], op.p, _WITHOUT_PRODUCTS)),
        ("aten.permute.default", ([0, 3, 1, 2],)),
    )


PROTOTYPE_LOWERINGS: Mapping[type, Callable[[Lowering], list[Instruction]]] = {
    CosineSimilarity: _lower_cosine,
    Distance: _lower_distance,
}
