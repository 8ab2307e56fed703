"""Steps that put values elsewhere and change none, or that work along a part of the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fullyconv.graph import Operation, Pair


@dataclass(frozen=True, slots=True)
class FoldMap(Operation):
    """Each block of `block` cells becomes one cell: rows, then columns within it are the innermost channels.

    Rows and columns that fill no block at the map's end are dropped: they are part of no window.
    """

    block: Pair


@dataclass(frozen=True, slots=True)
class UnfoldMap(Operation):
    """The reverse of FoldMap: each cell becomes `block` cells."""

    block: Pair


@dataclass(frozen=True, slots=True)
class Indices:
    """A constant of the plan's own: whole numbers."""

    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A range of neighbouring channel factors: the channels seen as `(outer, size, inner)`."""

    outer: int
    size: int
    inner: int

    @property
    def is_whole(self) -> bool:
        """Whether it holds all channels."""
        return self.outer == self.inner == 1


@dataclass(frozen=True, slots=True)
class TakeChannels(Operation):
    """The channels of a span by their numbers, which are the step's one weight: in any order, any number of times."""

    span: Span


@dataclass(frozen=True, slots=True)
class AlongChannels(Operation):
    """An operation along a span of the channels, of each cell by itself."""

    kind: Literal["softmax", "log_softmax", "cumsum", "glu"]
    span: Span


@dataclass(frozen=True, slots=True)
class Multiply(Operation):
    """The product of both inputs."""
