"""Sums of products, each axis named by a letter, as `torch.einsum` has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fullyconv.analyze.build import Build
from fullyconv.analyze.factors import Axis, Kind, flatten, select
from fullyconv.analyze.fields import Field, Refusal
from fullyconv.analyze.products import multiply_fields
from fullyconv.analyze.rule import Inputs, Outcome, get_field, rule
from fullyconv.analyze.rules.linear import Matrix, contract_last
from fullyconv.graph import Contract, Node

Sizes = Mapping[str, int]
Named = Mapping[str, Axis]


@rule(Contract)
def carry_contraction(node: Node, inputs: Inputs, build: Build) -> Outcome:
    """A sum of products.

    1. With a constant: a fully connected layer over the axes that both have.
    2. Of two values of the image: products of matrices, of each cell by itself; see `multiply_fields`.

    Refused: an axis of both that the result keeps, if one is a constant; a sum over an axis that only one of them has;
    what a fully connected layer refuses.
    """
    op = node.op
    assert isinstance(op, Contract)
    if inputs[2] is not None or (None not in inputs[:2] and node.inputs[2]):
        return Refusal("its weights depend on the image")
    if None not in inputs[:2]:
        product = multiply_fields(node, op, [value for value in inputs if value is not None], build)
        return product if isinstance(product, Refusal) else (product,)
    place = 0 if inputs[0] is not None else 1
    field, weight = get_field(inputs, place), node.inputs[1 - place]
    if field.parts:
        return Refusal("maps of different kinds are joined before an operation other than a linear layer")
    axes = dict(zip(op.letters[place], field.axes, strict=True))
    sizes = dict(zip(op.letters[1 - place], build.constants[weight].shape, strict=True))
    if not _is_product(axes, sizes, op.result):
        return Refusal("keeps an axis that both have, or sums over one that only one has")
    inner = flatten(tuple(axes[letter] for letter in sizes if letter in axes))
    kept = tuple(axis for letter, axis in axes.items() if letter in op.result)
    matrix = _see_constant(weight, node.inputs[2], sizes, axes, op.result)
    outcome = contract_last(node, field.with_axes((*kept, inner)), matrix, build)
    return outcome if isinstance(outcome, Refusal) else (_arrange(outcome[0], sizes, axes, op.result, build),)


def _is_product(axes: Named, sizes: Sizes, result: str) -> bool:
    """Returns whether what is summed over are the axes that both have; axes of size 1 do not count."""
    summed = {letter for letter, axis in axes.items() if axis and letter not in result}
    spare = {letter for letter, size in sizes.items() if size > 1 and letter not in result}
    shared = axes.keys() & sizes.keys()
    return summed <= shared and spare <= shared and not shared & set(result)


def _see_constant(weight: str, bias: str, sizes: Sizes, axes: Named, result: str) -> Matrix:
    view: list[int] = []
    inputs: list[int] = []
    places: dict[str, int] = {}
    for letter, size in sizes.items():
        if letter in axes:
            inputs += range(len(view), len(view) + len(axes[letter]))
            view += (factor.size for factor in axes[letter])
        elif letter in result:
            places[letter] = len(view)
            view.append(size)
    outputs = tuple(places[letter] for letter in result if letter in places)
    return Matrix(weight, bias, tuple(view), outputs, tuple(inputs))


def _arrange(product: Field, sizes: Sizes, axes: Named, result: str, build: Build) -> Field:
    """Returns the product with its outputs, which are one axis at the end, where the result has them."""
    named = dict(zip((letter for letter in axes if letter in result), product.axes[:-1], strict=True))
    new = {letter: build.make_channel(sizes[letter]) for letter in result if letter not in axes}
    channels = (*select(flatten(product.axes[:-1]), Kind.CHANNEL), *flatten(tuple(new.values())))
    return replace(product, axes=tuple((named | new)[letter] for letter in result), channels=channels)
