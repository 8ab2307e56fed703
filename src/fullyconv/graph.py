"""A classifier as a graph of normalised operations, with the shapes seen at window size; no torch, no ONNX.

Every capture gives this graph, and the analysis knows nothing else. An operation holds its attributes only;
the tensors it reads are `Node.inputs`, in the order that each class documents. A missing optional input is "".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """What a node does; a subclass for each kind."""


@dataclass(frozen=True, slots=True)
class Conv(Operation):
    """2-D convolution. Inputs: x `(N, C, H, W)`, weight `(K, C/groups, kh, kw)`, bias `(K,)` or ""."""

    stride: Pair
    padding: tuple[Pair, Pair]  # zeros: (top, bottom), (left, right)
    dilation: Pair
    groups: int


@dataclass(frozen=True, slots=True)
class WindowPool(Operation):
    """Pooling by a sliding kernel. Inputs: x `(N, C, H, W)`."""

    kind: Literal["max", "average"]
    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))  # (top, bottom), (left, right)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor: int | None = None


@dataclass(frozen=True, slots=True)
class AdaptivePool(Operation):
    """Pooling to a fixed number of bins over the last two axes. Inputs: x."""

    kind: Literal["max", "average"]
    bins: Pair


@dataclass(frozen=True, slots=True)
class Reduce(Operation):
    """Reduction over whole axes. Inputs: x."""

    kind: Literal["mean", "max", "sum"]
    axes: tuple[int, ...]
    keepdim: bool


StatisticKind = Literal["min", "product", "norm", "variance", "deviation", "logsumexp"]


@dataclass(frozen=True, slots=True)
class Statistic(Operation):
    """Reduction over whole axes that is no mean, maximum or sum. Inputs: x.

    `parameter` is the order of a norm, and what a variance or deviation takes off the number of values.
    """

    kind: StatisticKind
    axes: tuple[int, ...]
    keepdim: bool
    parameter: float = 0.0


@dataclass(frozen=True, slots=True)
class Moments(Operation):
    """A variance or deviation, and the mean: two outputs. Inputs: x."""

    spread: Statistic


@dataclass(frozen=True, slots=True)
class PoolAlong(Operation):
    """Pooling by a kernel that slides along one axis, whatever the axis is. Inputs: x."""

    kind: Literal["max", "average"]
    axis: int
    kernel: int
    stride: int
    padding: int = 0
    dilation: int = 1
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor: int | None = None


@dataclass(frozen=True, slots=True)
class Contract(Operation):
    """Sum of products over the axes that the result does not have, each axis of a tensor named by a letter.

    Inputs: x, a second tensor, bias over the letters that only the second tensor has, or "".
    """

    letters: tuple[str, str]
    result: str


@dataclass(frozen=True, slots=True)
class Dense(Operation):
    """A fully connected layer over the last axis.

    Inputs: x `(..., F)`, weight `(K, F)`, or `(F, K)` where it is transposed, bias `(K,)` or "".
    """

    transposed: bool = False


@dataclass(frozen=True, slots=True)
class Regroup(Operation):
    """Any reshape: the same values in row-major order, in the shape of the node's output. Inputs: x."""


@dataclass(frozen=True, slots=True)
class Expand(Operation):
    """Axes of size 1 repeated to the shape of the node's output. Inputs: x."""


@dataclass(frozen=True, slots=True)
class Permute(Operation):
    """Axis `i` of the output is axis `order[i]` of the input. Inputs: x."""

    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChannelAffine(Operation):
    """Batch normalisation with fixed statistics over axis 1. Inputs: x, mean, variance, weight, bias."""

    eps: float


@dataclass(frozen=True, slots=True)
class Conv1d(Operation):
    """Convolution along the last axis of `(N, C, L)`. Inputs: x, weight `(K, C / groups, k)`, bias.

    `padding` is zeros before and after.
    """

    stride: int
    padding: Pair
    dilation: int
    groups: int


@dataclass(frozen=True, slots=True)
class Norm(Operation):
    """Normalisation over the last `axes` axes by their own mean and variance. Inputs: x, weight, bias."""

    axes: int
    eps: float


@dataclass(frozen=True, slots=True)
class GroupNorm(Operation):
    """Normalisation of `groups` groups of axis 1, each with all later axes, by their own mean and variance.

    Instance normalisation has a group for each channel. Inputs: x, weight `(C,)`, bias `(C,)`.
    """

    groups: int
    eps: float


@dataclass(frozen=True, slots=True)
class RmsNorm(Operation):
    """Division by the root of the mean square over the last `axes` axes. Inputs: x, weight.

    `eps` is None for the number type's own.
    """

    axes: int
    eps: float | None


@dataclass(frozen=True, slots=True)
class PRelu(Operation):
    """Leaky rectifier with learned slopes over axis 1. Inputs: x, slope `(C,)` or `(1,)`."""


@dataclass(frozen=True, slots=True)
class Softmax(Operation):
    """Softmax, or its logarithm, over one axis. Inputs: x."""

    axis: int
    log: bool


@dataclass(frozen=True, slots=True)
class Pointwise(Operation):
    """Each output value depends on the input values at the same place, after broadcasting. Inputs: one or more.

    `name` is the operation's plain name; folding into a linear layer knows "add", "sub", "mul" and "div".
    """

    name: str
    scalars: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Concat(Operation):
    """Concatenation along one axis. Inputs: one or more."""

    axis: int


@dataclass(frozen=True, slots=True)
class Split(Operation):
    """Consecutive parts along one axis, one output each. Inputs: x."""

    axis: int
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice(Operation):
    """Indices `start, start + step, ...` below `stop` along one axis. Inputs: x."""

    axis: int
    start: int
    stop: int
    step: int


@dataclass(frozen=True, slots=True)
class Select(Operation):
    """One index of one axis, which goes away. Inputs: x."""

    axis: int
    index: int


@dataclass(frozen=True, slots=True)
class Gather(Operation):
    """Places along one axis, in any order, any number of times. Inputs: x."""

    axis: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stack(Operation):
    """Equal shapes side by side along a new axis. Inputs: one or more."""

    axis: int


@dataclass(frozen=True, slots=True)
class Unbind(Operation):
    """Each place of one axis, which goes away, one output each. Inputs: x."""

    axis: int


@dataclass(frozen=True, slots=True)
class SpaceToDepth(Operation):
    """Blocks of `block` cells become channels `(C, row in block, column in block)`. Inputs: x `(N, C, H, W)`."""

    block: Pair


@dataclass(frozen=True, slots=True)
class DepthToSpace(Operation):
    """Channels `(C, row in block, column in block)` become blocks of cells. Inputs: x `(N, C * block, H, W)`."""

    block: Pair


@dataclass(frozen=True, slots=True)
class Upsample(Operation):
    """Each cell becomes `times` cells, by its own value or by those around it as well. Inputs: x `(N, C, H, W)`.

    New cells lie within their cell at even distances from its centre. `times` is None where cells do not all become
    as many cells, or lie elsewhere.
    """

    kind: Literal["nearest", "linear", "cubic"]
    times: Pair | None


@dataclass(frozen=True, slots=True)
class Pad(Operation):
    """Padding before and after each axis; negative values crop. Inputs: x."""

    pads: tuple[Pair, ...]
    mode: str
    value: float


@dataclass(frozen=True, slots=True)
class Identity(Operation):
    """The output is the input. Inputs: x."""


@dataclass(frozen=True, slots=True)
class Opaque(Operation):
    """Any other operation: known by name and attributes, understood only by a rule made for it."""

    attributes: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor that depends on the image: its name and what it was at window size."""

    name: str
    shape: Shape
    dtype: str

    @property
    def is_floating(self) -> bool:
        """Whether it holds floating-point numbers, of any precision."""
        return "float" in self.dtype


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor that does not depend on the image."""

    name: str
    shape: Shape
    dtype: str
    read: Callable[[], NDArray[np.generic]] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of the graph.

    Attributes:
        name: unique.
        op: what it does.
        inputs: names of values or constants; "" for a missing optional one.
        outputs: one value, or several.
        source: the operation's name in the framework, such as `aten.conv2d`.
        layer: the module it stems from, such as `features.0`; "" for functional code.
        macs: multiply-accumulates of one window.
    """

    name: str
    op: Operation
    inputs: tuple[str, ...]
    outputs: tuple[Value, ...]
    source: str
    layer: str
    macs: int

    def __str__(self) -> str:
        return f"{self.layer or self.name} ({self.source})"


@dataclass(frozen=True, slots=True)
class Graph:
    """A classifier at window size.

    Attributes:
        image: the input `(batch, C, height, width)`.
        nodes: in an order in which they can be run.
        constants: by name.
        outputs: the names of the model's outputs, flattened.
    """

    image: Value
    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    outputs: tuple[str, ...]

    @property
    def batch(self) -> int:
        """The number of windows the graph was captured with."""
        return self.image.shape[0]

    @property
    def window(self) -> Pair:
        """The window's `(height, width)` in pixels."""
        return self.image.shape[2], self.image.shape[3]
