"""The ATen calls of a forward, seen one by one while the user's own Python code runs.

This is the only place that names `TorchDispatchMode`: the documented extension point of torch's dispatcher,
although its module's name begins with an underscore.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True, slots=True)
class Call:
    """One ATen call of a forward.

    Attributes:
        operation: its name, such as `aten.convolution.default`.
        ordinal: how many calls of the same operation came before it in this forward.
        arguments: what it was given, positional arguments first.
    """

    operation: str
    ordinal: int
    arguments: tuple[Any, ...]


class Watcher(Protocol):
    """Sees every call of a forward, before it runs and after it ran."""

    def before(self, call: Call) -> None:
        """Sees the arguments, which an in-place operation has not yet overwritten."""

    def after(self, call: Call, made: Sequence[Tensor]) -> None:
        """Sees the tensors that the call made; may overwrite their values."""


class CallWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Shows every ATen call to the watchers, in their order, as long as it is entered.

    What the watchers compute themselves is not seen.
    """

    def __init__(self, *watchers: Watcher) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._watchers = watchers
        self._counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        operation = str(func)
        call = Call(operation, self._counts[operation], (*args, *kwargs.values()))
        self._counts[operation] += 1
        for watcher in self._watchers:
            watcher.before(call)
        result = func(*args, **kwargs)
        made = collect_tensors(result)
        for watcher in self._watchers:
            watcher.after(call, made)
        return result


def collect_tensors(result: Any) -> list[Tensor]:
    """Returns the tensors of what a call returned: one, several, or nested lists of them."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (list, tuple)):
        return [tensor for inner in result for tensor in collect_tensors(inner)]
    return []
