"""Containers, and the layers that join what several branches give. A Lua table of tensors is a tuple here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fullyconv.capture.torch7.fields import Layer
from fullyconv.errors import ModelError


class Branches(nn.ModuleList):
    """Runs every branch on the same input."""

    def forward(self, x: Any) -> tuple[Any, ...]:
        """Returns what each gives."""
        return tuple(branch(x) for branch in self)


class OnePerEntry(nn.ModuleList):
    """Runs each layer on its own entry of a table."""

    def forward(self, x: Any) -> tuple[Any, ...]:
        """Returns what each gives.

        Raises:
            ModelError: there are not as many entries as layers.
        """
        if not isinstance(x, tuple) or len(x) != len(self):
            raise ModelError(f"nn.ParallelTable: expected a table of {len(self)}, got {_describe(x)}")
        return tuple(layer(entry) for layer, entry in zip(self, x, strict=True))


class Join(nn.Module):
    """Joins the tensors of a table along an axis that is not the batch.

    `axis` counts from 1 as Lua does, or from the end where it is negative. Where `image_axes` is given and the tensors
    have a batch axis besides, it is not counted.
    """

    def __init__(self, axis: int, image_axes: int | None = None) -> None:
        super().__init__()
        self.axis = axis
        self.image_axes = image_axes

    def forward(self, x: Any) -> Tensor:
        """Returns the joined tensor.

        Raises:
            ModelError: it is no table of tensors, or they would be joined along the batch.
        """
        rank = _read_table(x, "nn.Concat or nn.JoinTable")[0].dim()
        axis = self.axis + rank if self.axis < 0 else self.axis - (self.image_axes != rank - 1)
        if not 0 < axis < rank:
            raise ModelError(f"nn.Concat or nn.JoinTable: axis {self.axis} of {rank} is the batch, or is not there")
        return torch.cat(x, axis)


class Sum(nn.Module):
    """Adds the tensors of a table, which have one shape."""

    def forward(self, x: Any) -> Tensor:
        """Returns the sum.

        Raises:
            ModelError: it is no table of tensors of one shape.
        """
        first, *others = _read_table(x, "nn.CAddTable")
        for other in others:
            if other.shape != first.shape:
                raise ModelError(f"nn.CAddTable: expected one shape, got {_describe(x)}")
            first = first + other
        return first


def _read_table(x: Any, what: str) -> Sequence[Tensor]:
    if not isinstance(x, tuple) or not x or not all(isinstance(entry, Tensor) for entry in x):
        raise ModelError(f"{what}: expected a table of tensors, got {_describe(x)}")
    return x


def _describe(x: Any) -> str:
    if isinstance(x, Tensor):
        return f"a tensor {tuple(x.shape)}"
    return f"a table of {', '.join(_describe(entry) for entry in x) or 'nothing'}"


def build_concat(layer: Layer, branches: Sequence[nn.Module]) -> nn.Module:
    """Branches on one input, joined along an axis that counts from 1."""
    axis = layer.read_int("dimension", 1)
    if not branches or axis == 1:
        raise layer.fail("expected branches that are joined along another axis than the batch, the first")
    return nn.Sequential(Branches(branches), Join(axis))


def build_join(layer: Layer) -> nn.Module:
    """The tensors of a table, joined."""
    axis = layer.read_int("dimension", -8)
    if not axis:
        raise layer.fail("dimension: expected an axis, counted from 1 or from the end, got 0")
    return Join(axis, layer.read_int("nInputDims", 1) if layer.has("nInputDims") else None)


CONTAINERS: Mapping[str, Callable[[Layer, Sequence[nn.Module]], nn.Module]] = {
    "nn.Sequential": lambda layer, layers: nn.Sequential(*layers),
    "nn.Concat": build_concat,
    "nn.ConcatTable": lambda layer, branches: Branches(branches),
    "nn.ParallelTable": lambda layer, layers: OnePerEntry(layers),
}
TABLES: Mapping[str, Callable[[Layer], nn.Module]] = {
    "nn.JoinTable": build_join,
    "nn.CAddTable": lambda layer: Sum(),
}
