"""What writing a map in fragments takes of whatever writes it: a few operations on tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

from fullyconv.graph import Pair

T = TypeVar("T")
Arithmetic = Literal["add", "sub", "mul", "div", "min", "max"]


class Algebra(Protocol[T]):
    """Operations on tensors, and on whole numbers `(n,)`, which are tensors as well."""

    def size(self, x: T, axis: int) -> T:
        """Returns the size of an axis, `(1,)`."""

    def numbers(self, *numbers: int) -> T:
        """Returns whole numbers, `(n,)`."""

    def calculate(self, kind: Arithmetic, a: T, b: T) -> T:
        """Returns a result for each value; axes of size 1 go with all of the other's.

        A quotient of whole numbers is one as well; what it is of negative ones does not matter.
        """

    def count_up(self, size: T) -> T:
        """Returns the whole numbers from 0 on, as many as `size` `(1,)` says."""

    def join(self, parts: Sequence[T], axis: int) -> T:
        """Returns tensors side by side along an axis."""

    def reshape(self, x: T, sizes: Sequence[int | T]) -> T:
        """Returns a tensor in another shape; one of the sizes may be -1, those that are tensors are `(1,)`."""

    def transpose(self, x: T, order: Sequence[int]) -> T:
        """Returns a tensor with its axes in another order."""

    def cut(self, x: T, axis: int, start: int, stop: int | T | None = None) -> T:
        """Returns what lies from `start` on and before `stop`."""

    def extend(self, x: T, rank: int, axis: int, cells: int | T) -> T:
        """Returns a tensor of `rank` axes with zeros at the end of one."""

    def take(self, x: T, places: T) -> T:
        """Returns what lies at places `(n,)` of the first axis."""

    def mark(self, counts: T, size: T) -> T:
        """Returns truth values `(n, size)`: true are as many of the first ones as each of `counts` `(n,)` says."""

    def mark_both(self, a: T, b: T) -> T:
        """Returns where two truth values hold; axes of size 1 go with all of the other's."""

    def choose(self, marks: T, x: T, other: float) -> T:
        """Returns the values of a tensor where truth values hold, elsewhere a number."""

    def cast(self, marks: T, like: T) -> T:
        """Returns truth values as ones and zeros of the number type of a tensor."""

    def average(self, x: T, kernel: Pair, stride: Pair) -> T:
        """Returns the averages over a kernel that slides over `(N, C, H, W)`."""

    def pad(self, x: T, pads: tuple[Pair, Pair]) -> T:
        """Returns `(N, C, H, W)` with zeros before and after its rows and columns."""
