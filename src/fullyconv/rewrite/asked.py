"""What the user wants of a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index

from fullyconv.errors import OptionError
from fullyconv.graph import Pair


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants of the plan; see `convert`."""

    stride: Pair | None = None
    windowed_from: str | None = None
    approximate: frozenset[str] = frozenset()


def read_pair(name: str, form: str, given: object) -> Pair:
    """Returns two whole numbers, whatever type of integers they are.

    Raises:
        OptionError: something else was given; `name` and `form` say what was expected.
    """
    try:
        numbers = tuple(index(number) for number in given)  # type: ignore[attr-defined]
    except TypeError:
        numbers = ()
    if len(numbers) != 2:
        raise OptionError(f"{name}: expected {form} in whole pixels, got {given}")
    return numbers
