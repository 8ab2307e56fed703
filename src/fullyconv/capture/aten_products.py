"""ATen sums of products: einsum, products of matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from string import ascii_letters

from fullyconv.capture.aten_operations import Normal, Use
from fullyconv.capture.calls import Ref
from fullyconv.graph import Contract, Dense, Permute, Reduce, Shape


def _einsum(use: Use) -> Normal:
    operands = [operand.name for operand in use["tensors"] if isinstance(operand, Ref)]
    return normalise_einsum(use["equation"], operands, [use.shapes[name] for name in operands])


def normalise_einsum(equation: str, operands: list[str], shapes: list[Shape]) -> Normal:
    """Understands one or two tensors and a result; no diagonals, no broadcasting, no implicit result."""
    terms, arrow, result = equation.replace(" ", "").partition("->")
    letters = _spell_out([*terms.split(","), result], shapes)
    if not arrow or letters is None or not _are_consistent(letters, shapes):
        return None
    if len(operands) == 1:
        return _rearrange(letters[0], letters[1], operands[0])
    if len(operands) == 2:
        return Contract((letters[0], letters[1]), letters[2]), (*operands, "")
    return None


def _spell_out(terms: list[str], shapes: list[Shape]) -> list[str] | None:
    """Returns the terms with letters in place of an ellipsis, which one operand and the result may have."""
    with_ellipsis = [place for place, term in enumerate(terms) if "..." in term]
    if not with_ellipsis:
        return terms
    if len(terms) != len(shapes) + 1 or len(with_ellipsis) != 2 or with_ellipsis[1] != len(shapes):
        return None
    place = with_ellipsis[0]
    missing = len(shapes[place]) - len(terms[place]) + len("...")
    free = [letter for letter in ascii_letters if not any(letter in term for term in terms)]
    return [term.replace("...", "".join(free[:missing])) for term in terms]


def _are_consistent(letters: list[str], shapes: list[Shape]) -> bool:
    """Returns whether each letter stands for one size, once in each term, and the result has no others."""
    if len(letters) != len(shapes) + 1 or any(len(set(term)) != len(term) for term in letters):
        return False
    if any(len(term) != len(shape) for term, shape in zip(letters, shapes, strict=False)):
        return False
    pairs = {pair for term, shape in zip(letters, shapes, strict=False) for pair in zip(term, shape, strict=True)}
    return len(pairs) == len(dict(pairs)) and set(letters[-1]) <= dict(pairs).keys()


def _rearrange(letters: str, result: str, operand: str) -> Normal:
    kept = [letter for letter in letters if letter in result]
    if len(kept) == len(letters):
        return Permute(tuple(letters.index(letter) for letter in result)), (operand,)
    if kept != list(result):
        return None
    axes = tuple(place for place, letter in enumerate(letters) if letter not in result)
    return Reduce("sum", axes, keepdim=False), (operand,)


def _matmul(use: Use) -> Normal:
    other = use.name("other" if "other" in use.arguments else "mat2")
    return normalise_products((use.name("self"), other), (use.shape(), use.shapes[other]))


def normalise_products(operands: tuple[str, str], shapes: tuple[Shape, Shape]) -> Normal:
    """Understands a value times a matrix, and stacks of matrices times others; no vectors."""
    if min(len(shape) for shape in shapes) < 2:
        return None
    if len(shapes[1]) == 2:
        return Dense(transposed=True), (*operands, "")
    free = iter(ascii_letters)
    rows, inner, columns = next(free), next(free), next(free)
    first, second, result = [rows, inner], [inner, columns], [rows, columns]
    for mine, other in zip_longest(reversed(shapes[0][:-2]), reversed(shapes[1][:-2])):
        shared = next(free)
        first[:0] = _name_axis(mine, other, shared, free)
        second[:0] = _name_axis(other, mine, shared, free)
        result.insert(0, shared)
    return Contract(("".join(first), "".join(second)), "".join(result)), (*operands, "")


def _name_axis(size: int | None, other: int | None, shared: str, free: Iterator[str]) -> list[str]:
    """Returns the letter of an axis, one of its own where it is of size 1 and meets a larger one, none without one."""
    if size is None:
        return []
    return [shared if size == other or size > 1 or other is None else next(free)]


PRODUCTS: Mapping[str, Callable[[Use], Normal]] = {
    **dict.fromkeys(("matmul", "mm", "bmm"), _matmul),
    "einsum": _einsum,
}
