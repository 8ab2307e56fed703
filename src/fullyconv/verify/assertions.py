"""A model's own assertions about the size of its input, which its trunk can do without.

A model may assert that its image, or a map of it, has the size that its head needs. The trunk's arithmetic needs no
such thing, and the conversion's question is what it gives on a larger image. `torch._assert` is a function that
`torch.overrides` can see; a plain `assert` is not, and stops the model as ever. So does one about the values of a
tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode

Result = TypeVar("Result")


def run_past_assertions(run: Callable[[], Result]) -> tuple[Result, tuple[str, ...]]:
    """Returns what `run` gives, and the messages of the assertions about numbers that it was led past.

    Raises:
        Exception: whatever `run` raises otherwise.
    """
    try:
        return run(), ()
    except AssertionError:
        with _Passing() as passing:
            return run(), tuple(passing.messages)


class _Passing(TorchFunctionMode):
    """Leaves out the assertions that fail; everything else is called as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, None] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not torch._assert:
            return func(*args, **(kwargs or {}))
        condition, message = args
        if not condition:
            self.messages[str(message)] = None
        return None
