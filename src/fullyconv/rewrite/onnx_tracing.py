"""A dense network from PyTorch in two forms that torch's tracing exporter can follow at any size.

Sizes of images and of batches are not numbers here but results, as `tensor.shape` gives them while it is traced. A few
operations that the exporter does not know, or not at open sizes, are spelled out by others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fullyconv.analyze.plan import Cut
from fullyconv.capture.calls import Call, fill_arguments, find_batch_literals, find_operation
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.grid_module import shape_scores
from fullyconv.rewrite.program import GridCall, WindowedHead
from fullyconv.rewrite.refined import Route
from fullyconv.rewrite.traced_fragments import TracedFragments

_TO_THE_END = 2**62


class SharedPart(nn.Module):
    """The part of a dense network that runs on whole images: `(N, C, H, W)` -> scores on the grid, then maps.

    Attributes:
        module: the whole network.
        maps: names of the tensors that it gives beside the scores of outputs that no window gives.
    """

    def __init__(self, module: DenseModule, maps: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.maps = tuple(maps)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Returns scores `(N, d1, ..., Gy, Gx)` and maps `(N, C, H, W)`."""
        program = self.module.program
        tensors = self._run(images)
        rows, columns = self._count_windows(images, program.stride)
        finals = [shape_scores(tensors[output.tensor], output)[..., :rows, :columns]
                  for output in program.outputs if output.tensor]  # fmt: skip
        return *finals, *(tensors[name].clone() for name in self.maps)

    def _run(self, images: Tensor) -> dict[str, Tensor]:
        program = self.module.program
        tensors = _read_weights(self.module)
        if self.module.route is not None:
            return self._run_fragments(self.module.route, tensors, images)
        tensors[program.image] = self._align(images)
        for instruction in program.instructions:
            if isinstance(instruction, GridCall):
                tensors[instruction.output] = self._bring_to_grid(tensors[instruction.source], instruction, images)
            else:
                results = _run(instruction, tensors, images.shape[0])
                tensors.update(zip(instruction.outputs, results, strict=False))
        return tensors

    def _run_fragments(self, route: Route, weights: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
        """Returns the maps that scores and windows are made of."""
        program = self.module.program
        fragments = TracedFragments(route, program.stride, weights, _run)
        maps = fragments.run(program.image, self._align(images))
        ends = {*self.maps, *(output.tensor for output in program.outputs if output.tensor)}
        return {name: fragments.stacking.interleave(maps[name]) for name in ends}

    def _align(self, images: Tensor) -> Tensor:
        program = self.module.program
        if not program.align:
            return images
        sizes = zip(images.shape[2:], program.window, program.own_stride, strict=True)
        down, right = ((window - size) % stride for size, window, stride in sizes)
        return F.pad(images, (0, right, 0, down))

    def _bring_to_grid(self, source: Tensor, call: GridCall, images: Tensor) -> Tensor:
        rows, columns = self._count_windows(images, call.stride_px)
        return source[:, :, :: call.step[0], :: call.step[1]][:, :, :rows, :columns]

    def _count_windows(self, images: Tensor, stride: tuple[int, int]) -> tuple[Any, Any]:
        (height, width), (down, right) = self.module.program.window, stride
        return (images.shape[2] - height) // down + 1, (images.shape[3] - width) // right + 1


class HeadPart(nn.Module):
    """The part of a dense network that runs on windows, each in the form that it has in the classifier.

    Attributes:
        module: the whole network.
        head: its windowed part.
        values: names of what it gives.
    """

    def __init__(self, module: DenseModule, head: WindowedHead, values: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.head = head
        self.values = tuple(values)

    def forward(self, *windows: Tensor) -> tuple[Tensor, ...]:
        """Returns values `(B, ...)` of B windows."""
        tensors = _read_weights(self.module)
        tensors.update(zip((cut.value for cut in self.head.cuts), windows, strict=True))
        first = self.head.cuts[0]
        count = windows[0].shape[first.batch_axis] // (first.shape[first.batch_axis] // self.head.batch)
        for call in self.head.calls:
            tensors.update(zip(call.outputs, _run(call, tensors, count), strict=False))
        return tuple(tensors[name] for name in self.values)


def make_windows(cuts: Sequence[Cut], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Returns random windows of each cut, as many as one captured run has."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(cut.shape, generator=generator).to(dtype) for cut in cuts)


def _read_weights(module: DenseModule) -> dict[str, Tensor]:
    return {name: module.get_weight(name) for name in module.weight_names}


def _run(call: Call, tensors: Mapping[str, Tensor], batch: Any) -> tuple[Any, ...]:
    args, kwargs = fill_arguments(call, tensors, batch)
    operation = _SPELLED.get(call.target)
    if operation is None and any(find_batch_literals((call.args, tuple(call.kwargs.values())))):
        operation = _WITH_SIZES.get(call.target)
    result = (operation or find_operation(call.target))(*args, **kwargs)
    return tuple(result) if isinstance(result, list | tuple) else (result,)


def _average(  # noqa: PLR0913, PLR0917  as ATen has them
    x: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Tensor:
    """A sum over windows is their average times a number: the exporter forgets other divisors."""
    if divisor is None:
        return F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad)
    return F.avg_pool2d(x, kernel, stride, padding, ceil_mode, True) * (prod(kernel) / divisor)


def _unfold(x: Tensor, axis: int, size: int, step: int) -> Tensor:
    """Windows along an axis are shifted copies, side by side on a new last axis."""
    cut = torch.ops.aten.slice.Tensor
    return torch.stack([cut(x, axis, first, first + 1 - size or _TO_THE_END, step) for first in range(size)], -1)


def _rms_norm(x: Tensor, shape: list[int], weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    axes = list(range(-len(shape), 0))
    least = torch.finfo(x.dtype).eps if eps is None else eps
    scaled = x * torch.rsqrt(x.pow(2).mean(axes, keepdim=True) + least)
    return scaled if weight is None else scaled * weight


def _take(x: Tensor, axis: int, places: Tensor) -> Tensor:
    """On an axis of its own: OpenVINO folds a permuting Gather of channels into the next Conv the wrong way round."""
    return x.unsqueeze(axis).index_select(axis + 1, places).squeeze(axis)


_SPELLED: Mapping[str, Callable[..., Any]] = {
    "aten.cdist.default": lambda x, to, p, mode=None: (x.unsqueeze(-2) - to).norm(p, -1),
    "aten.avg_pool2d.default": _average,
    "aten.unfold.default": _unfold,
    "aten.rms_norm.default": _rms_norm,
    "aten.index_select.default": _take,
}

# What takes sizes: these forms of them keep a size that was computed.
_WITH_SIZES: Mapping[str, Callable[..., Any]] = {
    "aten.view.default": torch.reshape,
    "aten.reshape.default": torch.reshape,
    "aten._unsafe_view.default": torch.reshape,
    "aten.expand.default": lambda x, size, implicit=False: x.expand(size),
    "aten.repeat.default": lambda x, times: x.repeat(times),
    "aten.zeros.default": torch.zeros,
    "aten.ones.default": torch.ones,
    "aten.full.default": torch.full,
}
