"""How much tensors take while something runs: counted by what operations make, the same on every machine."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Living(TorchDispatchMode):
    """Counts the bytes of the tensors that operations made and that are alive, at their most; not a module's own."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
        self.made: list[tuple[weakref.ref[Tensor], int, int]] = []
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        for value in tree_leaves(outputs):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                if storage.data_ptr() not in self.own:
                    self.made.append((weakref.ref(value), storage.data_ptr(), storage.nbytes()))
        self.made = [entry for entry in self.made if entry[0]() is not None]
        self.peak = max(self.peak, sum({pointer: size for _, pointer, size in self.made}.values()))
        return outputs
