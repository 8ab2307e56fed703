"""What to do, decided: the dense network as steps on `(N, C, H, W)` tensors, for any framework to carry out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fullyconv.analyze.rearrangement import Own
from fullyconv.graph import Operation, Pair, PoolAlong, Shape, StatisticKind
from fullyconv.grid import Grid

Guarantee = Literal["image crops", "feature windows", "approximation"]
Activation = Literal["sigmoid", "softmax", "none"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A re-ordering of values: reshape to `view`, permute by `order`, broadcast to `full`, reshape to `shape`.

    `first_cell` keeps the first place of the last two axes, of what is the same at all.
    """

    view: Shape
    order: tuple[int, ...]
    full: Shape
    shape: Shape
    first_cell: bool = False

    def arrange(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Returns the values in the new order."""
        values = np.broadcast_to(values.reshape(self.view).transpose(self.order), self.full).reshape(self.shape)
        return values[..., :1, :1] if self.first_cell else values


@dataclass(frozen=True, slots=True)
class AffineFold:
    """A per-position scale and shift that goes into the kernel of the next linear layer.

    Attributes:
        op: ChannelAffine or Pointwise.
        constants: its constant inputs, in the order of the operation.
        layout: how each constant becomes `(C, fh, fw)`; sizes of 1 broadcast.
    """

    op: Operation
    constants: tuple[str, ...]
    layout: Layout


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight of the dense network, made from a constant of the classifier.

    Attributes:
        source: the constant's name.
        layout: how its values are re-ordered, None for as they are.
        bins: the adaptive pooling folded in: bins -> cells for the last two axes.
        affine: scales and shifts folded in, first applied first.
        columns: the half-open range of the constant's second axis that is used, None for all.
    """

    source: str
    layout: Layout | None = None
    bins: tuple[Pair, Pair] | None = None
    affine: tuple[AffineFold, ...] = ()
    columns: Pair | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the constant is used as it is."""
        return self.layout is None and not self.is_computed and self.columns is None

    @property
    def is_computed(self) -> bool:
        """Whether it takes arithmetic, and not only another order."""
        return self.bins is not None or bool(self.affine)


@dataclass(frozen=True, slots=True)
class ShiftedBias:
    """The bias of a linear layer with the folded shifts, `bias + weight @ shift`; `bias` may be ""."""

    bias: str
    weight: Weight


@dataclass(frozen=True, slots=True)
class ChannelNorm(Operation):
    """Normalisation over each block of neighbouring `channels` of each cell, of which there are `blocks`.

    Weights: scale and shift `(channels,)`, or None.
    """

    channels: int
    eps: float
    blocks: int = 1


@dataclass(frozen=True, slots=True)
class ChannelReduce(Operation):
    """Reduction over the channels of each cell, seen as `(kept, ...)`; as many as `kept` says are left."""

    kind: Literal["mean", "max", "sum"]
    kept: int = 1


@dataclass(frozen=True, slots=True)
class ConvAlongChannels(Operation):
    """1-D convolution of each cell's channels, seen as `(C, length)`. Weights: `(K, C/groups, k, 1, 1)`, `(K,)`."""

    length: int
    stride: int
    padding: int
    dilation: int
    groups: int


@dataclass(frozen=True, slots=True)
class ChannelRms(Operation):
    """Division by the root mean square of all `channels` of each cell. Weights: scale `(C,)`, or None.

    `eps` is None for the number type's own.
    """

    channels: int
    eps: float | None


@dataclass(frozen=True, slots=True)
class WindowStatistic(Operation):
    """A statistic of each window of `extent` cells, `stride` cells apart; of each channel, or of all of them.

    `parameter` is as in `fullyconv.graph.Statistic`.
    """

    kind: StatisticKind
    parameter: float
    extent: Pair
    stride: Pair
    over_channels: bool


@dataclass(frozen=True, slots=True)
class ChannelPool(Operation):
    """Pooling of each cell by a kernel that slides along its channels."""

    pool: PoolAlong


@dataclass(frozen=True, slots=True)
class ShuffleChannels(Operation):
    """The channels, seen as `sizes`, permuted by `order`."""

    sizes: Shape
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SliceChannels(Operation):
    """Of the channels, seen as `(outer, size, inner)`, those with `start:stop:step` in the middle."""

    outer: int
    size: int
    inner: int
    start: int
    stop: int
    step: int


@dataclass(frozen=True, slots=True)
class CropMap(Operation):
    """Cells `before, before + step, ...` of each axis, without the last `after`."""

    before: Pair
    after: Pair
    step: Pair


@dataclass(frozen=True, slots=True)
class Add(Operation):
    """The sum of all inputs."""


@dataclass(frozen=True, slots=True)
class BinPool(Operation):
    """Adaptive pooling of each window of `extent` cells: `bins` times the channels, bins outermost."""

    kind: Literal["max", "average"]
    extent: Pair
    bins: Pair
    stride: Pair


@dataclass(frozen=True, slots=True)
class SlidingPool(Operation):
    """For each cell, the pool over the `extent` cells around it.

    Near the image's border it is that of the nearest `extent` cells that lie in the image. A `divisor` takes the
    place of the number of cells in an average.
    """

    kind: Literal["max", "average"]
    extent: Pair
    divisor: int | None = None


@dataclass(frozen=True, slots=True)
class SlidingNorm(Operation):
    """Each of `groups` groups of neighbouring channels by its mean and variance over the `extent` cells around.

    Near the image's border, over the nearest `extent` cells that lie in the image. An extent of one cell is
    exact: there are no other cells. Weights: scale and shift `(C, 1, 1)`, or None.
    """

    groups: int
    extent: Pair
    eps: float


@dataclass(frozen=True, slots=True)
class SlidingStatistic(Operation):
    """For each cell, a statistic of each of `groups` groups of channels over the `extent` cells around it.

    `values` is how many values one has; a variance or deviation divides by `values - correction`. Borders as above.
    """

    kind: Literal["norm", "variance", "deviation"]
    groups: int
    extent: Pair
    values: int
    correction: float = 0.0


@dataclass(frozen=True, slots=True)
class ToGrid(Operation):
    """Every `step`-th cell, as many as there are windows at `stride_px` on the image."""

    step: Pair
    stride_px: Pair


@dataclass(frozen=True, slots=True)
class Original(Operation):
    """The node's own operation, on dense tensors; it works value by value."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of the dense network.

    Attributes:
        op: an operation of this file, of `rearrangement` or of `likeness`, or Conv, WindowPool, ChannelAffine, PRelu,
            Softmax, Concat, Upsample, Pad.
        inputs: dense tensors, or Weight for a constant that takes part value by value.
        weights: in the operation's order; None for a missing one.
        output: a dense tensor.
        node: the graph's node that it carries out.
    """

    op: Operation
    inputs: tuple[str | Weight, ...]
    weights: tuple[Weight | ShiftedBias | Own | None, ...]
    output: str
    node: str


@dataclass(frozen=True, slots=True)
class Cut:
    """A plain map from which windows are cut for the windowed head.

    Attributes:
        value: the graph's value.
        tensor: the dense tensor.
        extent: cells that one window covers, `(ny, nx)`.
        step: cells between neighbouring windows.
        channels: how the channels are seen.
        order: the value's factors as places in `(batch, *channels, y, x)`, y and x only where larger than 1.
        shape: the value's shape at window size.
        batch_axis: the axis of `shape` that holds the batch.
        hole: how many cells it is from one cell of a window to the next; more than 1 on a finer grid, where the cells
            of other windows lie between.
    """

    value: str
    tensor: str
    extent: Pair
    step: Pair
    channels: Shape
    order: tuple[int, ...]
    shape: Shape
    batch_axis: int
    hole: Pair = (1, 1)


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the model in the dense network, at the grid's resolution.

    Attributes:
        value: the graph's value.
        tensor: the dense tensor; "" where the windowed head gives the value.
        channels: how the dense tensor's channels are seen.
        order: the value's axes, without the batch, as places in `channels`.
        shape: one window's values, `(d1, ...)`; axes of size 1 are dropped, one is left.
        activation: what leads from the logits to the output, "none" where it is one of the logits.
        activation_axis: the axis of `(N, d1, ..., Gy, Gx)` that a softmax runs over.
        is_floating: whether it holds floating-point numbers; not the number of a class, say.
    """

    value: str
    tensor: str
    channels: Shape
    order: tuple[int, ...]
    shape: Shape
    activation: Activation = "none"
    activation_axis: int = 1
    is_floating: bool = True


@dataclass(frozen=True, slots=True)
class RewrittenLayer:
    """A layer that the dense network does in another form."""

    name: str
    kind: str
    old_shape: Shape
    new_shape: Shape
    note: str = ""


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """The trunk's last tensor, or one of several: where the head's windows lie on it.

    Attributes:
        value: the graph's value.
        shape: at window size.
        y_axis: the axis that counts rows, None if one row is left.
        x_axis: the axis that counts columns, None if one column is left.
        extent: cells that one window covers.
        stride_px: pixels between neighbouring cells.
    """

    value: str
    shape: Shape
    y_axis: int | None
    x_axis: int | None
    extent: Pair
    stride_px: Pair


@dataclass(frozen=True, slots=True)
class Plan:
    """The dense network, decided.

    Attributes:
        grid: where its scores lie.
        steps: in running order.
        cuts: where windows are cut for the windowed head; empty in tier 1.
        windowed: the nodes that run on windows.
        outputs: one for each output of the model.
        logits: likewise, before a last softmax or sigmoid; the output itself where there is none.
        feature_maps: the trunk's last tensors.
        guarantee: what the scores equal.
        padding: each trunk operation that pads or rounds at a window's border, and why.
        reasons: each operation that could not be convolutional, and why.
        approximations: each operation that was approximated, on request, and how.
        layers: what was rewritten.
        shared_flops: share of the arithmetic that neighbouring windows share, 0 to 1.
        margins_px: pixels outside a window that its scores depend on: `((top, bottom), (left, right))`.
        align: whether images are padded to window + k*stride, because branches would disagree in size.
    """

    grid: Grid
    steps: tuple[Step, ...]
    cuts: tuple[Cut, ...]
    windowed: tuple[str, ...]
    outputs: tuple[Output, ...]
    logits: tuple[Output, ...]
    feature_maps: tuple[FeatureMap, ...]
    guarantee: Guarantee
    padding: tuple[str, ...]
    reasons: tuple[str, ...]
    approximations: tuple[str, ...]
    layers: tuple[RewrittenLayer, ...]
    shared_flops: float
    margins_px: tuple[Pair, Pair]
    align: bool

    @property
    def tier(self) -> int:
        """1 convolutional, 2 shared trunk and windowed head, 3 with local approximations."""
        if self.approximations:
            return 3
        return 2 if self.windowed else 1
