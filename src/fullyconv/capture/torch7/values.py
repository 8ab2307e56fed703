"""What a `.t7` file holds, as plain values: nothing of it can run.

Lua's nil, booleans, numbers, strings and tables become None, bool, float, str and dict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A run of numbers that tensors look into.

    Attributes:
        values: `(count,)`, read only, in the number type of the file.
    """

    values: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class StoredTensor:
    """A tensor as the file describes it; its elements all lie in its storage.

    Attributes:
        shape: its sizes; () for a tensor without elements.
        strides: for each axis how many elements lie between neighbours.
        offset: the element of the storage where it begins, from 0.
        storage: None for a tensor without elements.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: Storage | None

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.strides) or min((0, self.offset, *self.shape, *self.strides)) < 0:
            raise ValueError(f"a tensor with sizes {self.shape} and strides {self.strides} from {self.offset}")
        if self.count and (self.storage is None or self._find_last() >= self.storage.values.size):
            raise ValueError(f"a tensor with sizes {self.shape} that reaches beyond its storage")

    @property
    def count(self) -> int:
        """How many elements it has."""
        return prod(self.shape) if self.shape else 0

    def to_array(self) -> NDArray[np.float32]:
        """Returns a copy of the elements in float32.

        Raises:
            ValueError: it has more elements than its storage: one value repeated is no weight.
        """
        if not self.count or self.storage is None:
            return np.zeros(0, np.float32)
        if self.count > self.storage.values.size:
            raise ValueError(f"sizes {self.shape} are more than what is stored")
        strides = [stride * self.storage.values.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(self.storage.values[self.offset :], self.shape, strides, writeable=False)
        with np.errstate(over="ignore"):  # infinite weights are found, by name, where all weights are checked
            return np.array(view, np.float32)

    def _find_last(self) -> int:
        return self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class TorchObject:
    """An object of a Torch7 class, such as a layer.

    Attributes:
        class_name: such as `nn.Linear`.
        version: of its class when it was written; 0 in files from before there were versions.
        fields: its content, by name.
    """

    class_name: str
    version: float
    fields: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class LuaFunction:
    """The place of a function; its code was passed over."""
