"""The sequence of calls that a forward takes, so that the same call is found again at another image size.

A forward is ordinary Python and may branch on the image's size. A call found at window size is only the same
call on a larger image if the forward came to it on the same route.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from fullyconv.errors import ModelError
from fullyconv.verify.calls import Call

# torch inserts or leaves out these by memory layout alone; the values are the same.
_LAYOUT_OPERATIONS = {
    f"aten.{name}.default" for name in ("view", "_unsafe_view", "clone", "alias", "detach", "_to_copy")
}


class RouteError(ModelError):
    """The forward takes another route than at window size, so its feature map cannot be told."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a forward makes a tensor.

    Attributes:
        operation: the name of the call.
        ordinal: calls of the same operation before it.
        leaf: which of the tensors that the call makes.
    """

    operation: str
    ordinal: int
    leaf: int

    def is_made_by(self, call: Call) -> bool:
        """Returns whether `call` is the one that makes the tensor."""
        return (self.operation, self.ordinal) == (call.operation, call.ordinal)


def is_layout(operation: str) -> bool:
    """Returns whether an operation gives the values that it is given, in the same order."""
    return operation in _LAYOUT_OPERATIONS


class RouteRecorder:
    """Writes down the steps of a forward."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def before(self, call: Call) -> None:
        """Appends the call."""
        self.steps.append(describe_step(call))

    def after(self, call: Call, made: Sequence[Tensor]) -> None:
        """Does nothing: a route is made of calls, not of values."""


class RouteGuard:
    """Stops a forward that leaves the recorded route before all `places` are passed."""

    def __init__(self, steps: Sequence[str], places: Sequence[Place]) -> None:
        exact = any(place.operation in _LAYOUT_OPERATIONS for place in places)
        self._ignored = set() if exact else _LAYOUT_OPERATIONS
        self._expected = [step for step in steps if step not in self._ignored]
        self._left = set(places)
        self._number = 0

    def before(self, call: Call) -> None:
        """Compares the call with the recorded one.

        Raises:
            RouteError: it is another one.
        """
        step = describe_step(call)
        if not self._left or step in self._ignored:
            return
        expected = self._expected[self._number] if self._number < len(self._expected) else "the end"
        if step != expected:
            raise RouteError(
                f"the model's forward depends on the image's size: call {self._number} is {step} "
                f"where it is {expected} at window size"
            )
        self._number += 1

    def after(self, call: Call, made: Sequence[Tensor]) -> None:
        """Stops to compare once the last place is passed: after that the head may do what it likes."""
        self._left = {place for place in self._left if not place.is_made_by(call)}


def describe_step(call: Call) -> str:
    """Returns the operation's name; for those that slide a window or pad, with the numbers it was given.

    Padding that follows the image's size, as in "same" padding written in Python, makes another network of
    the trunk at another size; only the numbers show that.
    """
    if not any(word in call.operation for word in ("conv", "pad", "pool")):
        return call.operation
    numbers = [value for value in call.arguments if not isinstance(value, Tensor)]
    return f"{call.operation}{numbers}"
