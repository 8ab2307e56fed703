"""What running a network takes, seen while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LargestOperation(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches a run; `bytes` is the most that one operation read and wrote, the module's weights aside."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        own = (*module.parameters(), *module.buffers())
        self._own = {tensor.untyped_storage().data_ptr() for tensor in own}
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs the operation and notes how much it touched."""
        outputs = func(*args, **(kwargs or {}))
        sizes = dict(self._measure((args, kwargs, outputs)))
        self.bytes = max(self.bytes, sum(sizes.values()))
        return outputs

    def _measure(self, values: object) -> Iterator[tuple[int, int]]:
        for value in tree_leaves(values):
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()
                if storage.data_ptr() not in self._own:
                    yield storage.data_ptr(), storage.nbytes()
