"""The plan of the built-in network `compact`: which strides and kernels suit a window, in pure integers.

No stage pads, so that a crop and the same pixels inside a large image give the same feature map.
"""

from __future__ import annotations

from dataclasses import dataclass

from fullyconv.errors import OptionError
from fullyconv.grid import Pair, format_size

SMALLEST_WINDOW = 8
LARGEST_MAP = 6  # cells a side; above it the fully connected layer would hold most of the weights
POOLED_FROM = 13  # cells a side; pooling a smaller map would lose where the parts of an object are
FEWEST_STAGES = 2
FIRST_CHANNELS, MOST_CHANNELS = 16, 128


@dataclass(frozen=True, slots=True)
class Stage:
    """One convolution without padding, and the max pooling that follows it.

    Attributes:
        kernel: `(height, width)` of the convolution.
        stride: `(y, x)` of the convolution; above 1 only in the first stage, for large windows.
        pool: `(y, x)` of the pooling, kernel and stride alike; 1 where an axis is small enough already.
        channels: channels it makes.
    """

    kernel: Pair
    stride: Pair
    pool: Pair
    channels: int

    def reduce(self, size: Pair) -> Pair:
        """Returns the size that `size` becomes; rows and columns that no window fills are dropped."""
        rows, columns = (
            ((cells - kernel) // stride + 1) // pool
            for cells, kernel, stride, pool in zip(size, self.kernel, self.stride, self.pool, strict=True)
        )
        return rows, columns


def plan_stages(window: Pair) -> tuple[Stage, ...]:
    """Returns the stages that reduce `window`, `(height, width)` in pixels, to 3 to 6 cells a side.

    Every stage convolves, and halves the axes that have more than 12 cells; then convolutions alone follow,
    down to 6 cells. So the stride stays small, and a window is never far off an object. A large window starts
    with a strided convolution, because its first layers would cost most of the time. The total stride is a
    power of two.

    >>> [stage.pool for stage in plan_stages((25, 25))], reduce_window((25, 25))
    ([(2, 2), (1, 1), (1, 1), (1, 1)], (5, 5))

    Raises:
        OptionError: a side of the window is smaller than 8 pixels.
    """
    if min(window) < SMALLEST_WINDOW:
        raise OptionError(
            f"network compact: expected a window of at least {SMALLEST_WINDOW} pixels a side, "
            f"got {format_size(window)}; enlarge the window, the crops are resized to it"
        )
    stages: list[Stage] = []
    size, channels = window, FIRST_CHANNELS
    while max(size) > LARGEST_MAP or len(stages) < FEWEST_STAGES:
        strides = infer_first_strides(window) if not stages else (1, 1)
        stages.append(_plan_stage(size, strides, channels))
        size = stages[-1].reduce(size)
        if max(stages[-1].pool) > 1:  # a quarter of the cells can hold twice the channels
            channels = min(channels * 2, MOST_CHANNELS)
    return tuple(stages)


def reduce_window(window: Pair) -> Pair:
    """Returns the size of the feature map, `(fh, fw)` cells, that `plan_stages` makes of a window."""
    size = window
    for stage in plan_stages(window):
        size = stage.reduce(size)
    return size


def infer_stride(stages: tuple[Stage, ...]) -> Pair:
    """Returns `(sy, sx)`, the pixels between neighbouring cells of the feature map."""
    sy, sx = 1, 1
    for stage in stages:
        sy, sx = sy * stage.stride[0] * stage.pool[0], sx * stage.stride[1] * stage.pool[1]
    return sy, sx


def infer_first_strides(window: Pair) -> Pair:
    """Returns the strides `(y, x)` of the first convolution: 2 above 96x96 pixels, 4 above 256x256.

    A side that is short itself keeps enough pixels for the stages that follow.
    """
    area = window[0] * window[1]
    wanted = 4 if area > 256 * 256 else 2 if area > 96 * 96 else 1
    sy, sx = (min(wanted, 1 if side < 32 else 2 if side < 64 else 4) for side in window)
    return sy, sx


def _plan_stage(size: Pair, strides: Pair, channels: int) -> Stage:
    kernel_y, kernel_x = (_choose_kernel(*axis) for axis in zip(size, strides, strict=True))
    convolved = Stage(kernel=(kernel_y, kernel_x), stride=strides, pool=(1, 1), channels=channels).reduce(size)
    pool_y, pool_x = (
        2 if before >= POOLED_FROM and after >= 4 else 1 for before, after in zip(size, convolved, strict=True)
    )
    return Stage((kernel_y, kernel_x), strides, (pool_y, pool_x), channels)


def _choose_kernel(cells: int, stride: int) -> int:
    # A strided kernel overlaps its neighbour, so that no edge falls between two; an axis of four cells or
    # fewer is left to the head.
    if stride > 1:
        return {2: 4, 4: 7}[stride]
    return 3 if cells > 4 else 1
