"""How large a tile may be: a budget in bytes, divided by what one input pixel costs."""

from __future__ import annotations

from math import ceil

import torch

from fullyconv.capture.footprint import LargestOperation
from fullyconv.capture.module import read_device, read_dtype
from fullyconv.errors import OptionError
from fullyconv.grid import Pair
from fullyconv.scan.scorer import DenseScorer

# What reading, writing and running keep for themselves beside any tile: decoded parts of the file (64 MiB), decoders,
# compressors, pools of threads.
_LIBRARIES = 192 * 2**20

_COPIES = 3
_FLOAT = 4
_LARGEST_TENSOR = 2**31 - 1

DEFAULT_MEMORY_BYTES = 512 * 2**20

# An operation needs what it reads and what it writes. Beyond that a residual branch may be waiting, and the
# CPU kernels work on a re-ordered copy: twice the largest operation covers both.
_SAFETY = 2


def largest_tile_px(dense: DenseScorer, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> int:
    """Returns how many pixels a tile may read so that running it takes about `memory_bytes` at most.

    The network's weights and the image itself are not counted: they are there however large the tiles are.

    Raises:
        OptionError: the budget is not at least one byte.
    """
    if memory_bytes < 1:
        raise OptionError(f"memory: expected at least 1 byte, got {memory_bytes}")
    return max(1, (memory_bytes - _reserve(dense, memory_bytes)) // measure_bytes_per_pixel(dense))


def plan_tile_px(dense: DenseScorer, memory_bytes: int, outputs: int) -> int:
    """Returns how many pixels a tile may read so that scanning takes about `memory_bytes` in all, weights aside.

    Beside the run itself, a tile's pixels are there three times (read ahead, being read, being scored), once as floats
    that are being put into order, and its scores three times (computed, and two waiting to be written). A tensor of
    2^31 values or more is avoided however much memory there is: not every kernel counts further.

    Args:
        dense: the network.
        memory_bytes: the budget.
        outputs: scores a window.

    Raises:
        OptionError: the budget does not hold a tile of one window.
    """
    for_tiles = memory_bytes - _LIBRARIES - _reserve(dense, max(1, memory_bytes))
    stride_y, stride_x = dense.grid.stride_px
    run = measure_bytes_per_pixel(dense)
    pixels = _COPIES * dense.card.channels + 2 * _FLOAT * dense.card.channels
    scores = _COPIES * _FLOAT * outputs / (stride_y * stride_x)
    fitting, smallest = int(for_tiles / (run + pixels + scores)), _measure_smallest_tile(dense)
    if fitting < smallest:
        needed = _LIBRARIES + _reserve(dense, 2 * _LIBRARIES) + smallest * (run + pixels + scores)
        raise OptionError(
            f"memory: expected at least {ceil(needed / 2**20)} MB, which one window of this network takes at a time, "
            f"got {memory_bytes / 2**20:.4g} MB"
        )
    return min(fitting, int(_LARGEST_TENSOR * _FLOAT * _SAFETY / run))


def _measure_smallest_tile(dense: DenseScorer) -> int:
    """Returns how many pixels a tile of one cell reads at most."""
    height, width = (
        window + sum(margins) + 2 * stride
        for window, margins, stride in zip(dense.grid.window_px, dense.margins_px, dense.own_stride_px, strict=True)
    )
    return height * width


def _reserve(dense: DenseScorer, memory_bytes: int) -> int:
    """Returns what groups of fragments take beside the maps that they are cut from; half of all at most."""
    is_finer = dense.grid.stride_px != dense.own_stride_px
    groups = _SAFETY * int(getattr(dense.module, "fragment_bytes", 0)) if is_finer else 0
    return min(groups, memory_bytes // 2)


def measure_bytes_per_pixel(dense: DenseScorer) -> int:
    """Returns what running the network costs for each pixel of its input, in bytes.

    Rule: one run on an image of about two windows a side; of all its operations, the one whose tensors, read
    and written, are the largest; twice that (a waiting residual branch, a kernel's own copy), plus the input.
    Weights do not count, nor does what runs in groups of fragments: each by itself while this is measured.
    """
    told = getattr(getattr(dense.module, "program", None), "bytes_per_pixel", None)
    if told is not None:  # onnxruntime shows nothing while it runs
        return int(told)
    height, width = _choose_size(dense)
    image = torch.zeros(
        (1, dense.card.channels, height, width),
        dtype=read_dtype(dense.module),
        device=read_device(dense.module),
    )
    largest = LargestOperation(dense.module)
    with torch.no_grad(), largest:
        dense.module(image)  # which torch runs, whatever runs the tiles
    return ceil((_SAFETY * largest.bytes + image.nbytes) / (height * width))


def _choose_size(dense: DenseScorer) -> Pair:
    height, width = (
        window + max(1, -(-window // stride)) * stride
        for window, stride in zip(dense.grid.window_px, dense.grid.stride_px, strict=True)
    )
    return height, width
