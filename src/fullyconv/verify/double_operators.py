"""Operators in float64 by torch, in place of onnx's own reference implementations of them.

Those are the specification in Python: of a convolution or a pooling, a loop over every place. Of LRN and Erf they are
not to the last digits what the specification says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx.reference.op_run import OpRun
from torch import Tensor
from torch.nn import functional as F

from fullyconv.capture.onnx_session import Array

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_MAXIMUM = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


class Conv(OpRun):
    """https://onnx.ai/onnx/operators/onnx__Conv.html."""

    op_domain = ""

    def _run(self, image: Array, weight: Array, bias: Array | None = None, **options: Any) -> tuple[Array]:
        slide = find_slide(image.shape[2:], weight.shape[2:], options)
        padded, added = slide.pad(_take(image)), None if bias is None else _take(bias)
        convolve, groups = _CONVOLVE[len(slide.kernel)], options.get("group") or 1
        return _give(convolve(padded, _take(weight), added, slide.stride, 0, slide.dilation, groups))


class MaxPool(OpRun):
    """https://onnx.ai/onnx/operators/onnx__MaxPool.html, without the places of the largest values."""

    op_domain = ""

    def _run(self, image: Array, **options: Any) -> tuple[Array]:
        slide = find_slide(image.shape[2:], options["kernel_shape"], options)
        padded = slide.pad(_take(image), -torch.inf)
        return _give(_MAXIMUM[len(slide.kernel)](padded, slide.kernel, slide.stride, 0, slide.dilation))


class AveragePool(OpRun):
    """https://onnx.ai/onnx/operators/onnx__AveragePool.html: each sum is divided by how many places it has."""

    op_domain = ""

    def _run(self, image: Array, **options: Any) -> tuple[Array]:
        slide = find_slide(image.shape[2:], options["kernel_shape"], options)
        taken = _take(image)
        padding = 1.0 if options.get("count_include_pad") else 0.0
        places = slide.add_up(slide.pad(torch.ones_like(taken[:1, :1]), padding))
        return _give(slide.add_up(slide.pad(taken)) / places)


class LRN(OpRun):
    """https://onnx.ai/onnx/operators/onnx__LRN.html."""

    op_domain = ""

    def _run(self, image: Array, *, alpha: float, beta: float, bias: float, size: int) -> tuple[Array]:
        squares = F.pad(_take(image).square().movedim(1, -1), ((size - 1) // 2, size // 2))
        sums = squares.unfold(-1, size, 1).sum(-1).movedim(-1, 1)
        return _give(_take(image) / (float(bias) + float(alpha) / size * sums) ** float(beta))


class Erf(OpRun):
    """https://onnx.ai/onnx/operators/onnx__Erf.html."""

    op_domain = ""

    def _run(self, values: Array) -> tuple[Array]:
        return _give(torch.erf(_take(values)))


OPERATORS: list[type[OpRun]] = [Conv, MaxPool, AveragePool, LRN, Erf]


@dataclass(frozen=True, slots=True)
class Slide:
    """How a kernel slides over an image, for each axis of the image.

    Attributes:
        kernel: places of the kernel.
        stride: places from one output to the next.
        dilation: places from one of the kernel's values to the next.
        margins: places of padding before and after the image.
        beyond: places after those, into which the last kernel reaches where the number of outputs is rounded up.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    margins: tuple[tuple[int, int], ...]
    beyond: tuple[int, ...]

    def pad(self, image: Tensor, value: float = 0.0) -> Tensor:
        """Returns `(N, C, ...)` with its padding; beyond it are zeros, or minus infinities if that is the padding."""
        padded = F.pad(image, [places for pair in reversed(self.margins) for places in pair], value=value)
        past = value if value < 0 else 0.0
        return F.pad(padded, [places for axis in reversed(self.beyond) for places in (0, axis)], value=past)

    def add_up(self, padded: Tensor) -> Tensor:
        """Returns the sums under the kernel, of each channel."""
        ones = padded.new_ones((1, 1, *self.kernel))
        single = padded.flatten(0, 1)[:, None]
        sums = _CONVOLVE[len(self.kernel)](single, ones, None, self.stride, 0, self.dilation)
        return sums.reshape(*padded.shape[:2], *sums.shape[2:])


def find_slide(size: Sequence[int], kernel: Sequence[int], options: dict[str, Any]) -> Slide:
    """Returns how a kernel slides over an image of a size, by the attributes of a node."""
    axes = len(kernel)
    stride, dilation = (tuple(options.get(name) or [1] * axes) for name in ("strides", "dilations"))
    spans = [gap * (cells - 1) + 1 for cells, gap in zip(kernel, dilation, strict=True)]
    pads = options.get("pads") or [0] * (2 * axes)
    mode = options.get("auto_pad") or "NOTSET"
    places = list(zip(size, spans, stride, strict=True))
    if mode == "NOTSET":
        margins = tuple(zip(pads[:axes], pads[axes:], strict=True))
    else:
        margins = tuple((0, 0) if mode == "VALID" else _keep_size(*axis, mode) for axis in places)
    rounds_up = bool(options.get("ceil_mode"))
    beyond = tuple(_reach(*axis, margin) if rounds_up else 0 for axis, margin in zip(places, margins, strict=True))
    return Slide(tuple(kernel), stride, dilation, margins, beyond)


def _keep_size(size: int, span: int, stride: int, mode: str) -> tuple[int, int]:
    """Returns the padding under which there are `size / stride` outputs, rounded up."""
    total = max(0, (-(-size // stride) - 1) * stride + span - size)
    less = total // 2
    return (less, total - less) if mode == "SAME_UPPER" else (total - less, less)


def _reach(size: int, span: int, stride: int, margin: tuple[int, int]) -> int:
    """Returns how far the last kernel reaches past the padding; one that begins there is none."""
    whole = size + sum(margin)
    last = -(-(whole - span) // stride) * stride
    return 0 if last >= size + margin[0] else max(0, last + span - whole)


def _take(values: Array) -> Tensor:
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


def _give(values: Tensor) -> tuple[Array]:
    return (values.numpy(),)
