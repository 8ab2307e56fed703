"""Steps that put values elsewhere and change none, or that work along a part of the channels."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fullyconv.graph import Operation, Pair, Shape


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
class Taps:
    """A constant of the plan's own: a convolution's kernel of zeros and ones, which only picks values and adds them.

    Attributes:
        shape: `(K, C, kh, kw)` of one group.
        ones: places in the flattened kernel of one group.
        groups: how many groups there are, all alike.
    """

    shape: Shape
    ones: tuple[int, ...]
    groups: int

    @property
    def count(self) -> int:
        """How many numbers the kernel has."""
        return self.groups * prod(self.shape)

    def make(self) -> NDArray[np.float64]:
        """Returns the kernel `(groups * K, C, kh, kw)`.

        >>> Taps((2, 1, 1, 2), (0, 3), 1).make().tolist()
        [[[[1.0, 0.0]]], [[[0.0, 1.0]]]]
        """
        kernel = np.zeros(self.shape)
        kernel.flat[list(self.ones)] = 1
        return np.tile(kernel, (self.groups, 1, 1, 1))


# What a step may read that is no weight of the classifier.
Own = Indices | Taps


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


@dataclass(frozen=True, slots=True)
class MultiplyMatrices(Operation):
    """Products of matrices, of each cell by itself.

    The channels of the first input, seen as `(groups, rows, inner)`, with those of the second, `(groups, inner,
    columns)`, give `(groups, rows, columns)`.
    """

    groups: int
    rows: int
    inner: int
    columns: int
