"""Layers that give each image of the batch another shape, and the linear layers that follow them.

Torch7 leaves open which axis is the batch: `nn.View(-1)` makes one row of a whole batch, and so works for one image
only. A network is read here as one for batches `(N, C, H, W)` whose rows N stay apart; where a layer drops the
batch axis of one image, as `View(-1)` does, each image is treated as it would be alone. Shapes of which that
cannot be said are refused, here or when the network first runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from torch import Tensor, nn
from torch.nn import functional as F

from fullyconv.capture.torch7.fields import Layer, fill
from fullyconv.errors import ModelError


class Reshape(nn.Module):
    """Gives each image `sizes`, where -1 stands for what is left; (-1,) makes a row of it.

    `input_axes` is how many axes of the input belong to one image, where the file says it.
    """

    def __init__(self, sizes: tuple[int, ...], input_axes: int | None = None) -> None:
        super().__init__()
        self.sizes = sizes
        self.input_axes = input_axes

    def forward(self, x: Tensor) -> Tensor:
        """Returns `(N, *sizes)`.

        Raises:
            ModelError: an image has another number of values.
        """
        count = prod(x.shape[1:])
        expected = abs(prod(self.sizes))
        if self.input_axes not in (None, x.dim() - 1):
            raise ModelError(f"nn.View: expected images with {self.input_axes} axes, got {tuple(x.shape[1:])}")
        if count != expected and (-1 not in self.sizes or count % expected):
            raise ModelError(f"nn.View or nn.Reshape: expected {self.sizes} for each image, got {tuple(x.shape[1:])}")
        return x.reshape(len(x), *self.sizes)


class Linear(nn.Linear):
    """A linear layer that like Torch7's takes `(N, C)` only."""

    def forward(self, input: Tensor) -> Tensor:
        """Returns `(N, outputs)`.

        Raises:
            ModelError: the tensor has another number of axes.
        """
        if input.dim() != 2:
            raise ModelError(f"nn.Linear: expected (N, {self.in_features}), got {tuple(input.shape)}")
        return F.linear(input, self.weight, self.bias)


def build_view(layer: Layer) -> nn.Module:
    """Sizes for each image, or a leading -1 for the batch; see the head of this file."""
    sizes = layer.read_sizes("size")
    axes = layer.read_int("numInputDims", 1) if layer.has("numInputDims") else None
    if axes is None and len(sizes) > 1 and sizes[0] == -1:
        sizes = sizes[1:]
        if -1 in sizes:
            raise layer.fail(f"size: expected one -1 at the most, got {(-1, *sizes)}")
    elif axes is None and -1 in sizes[1:]:
        raise layer.fail(
            f"size: expected -1 in front, or numInputDims, got {sizes}, which may mix the images of a batch"
        )
    return Reshape(_check_sizes(layer, sizes), axes)


def build_reshape(layer: Layer) -> nn.Module:
    """Sizes for each image; with batchMode false, which gives one image without a batch axis, a row only."""
    sizes = layer.read_sizes("size")
    if not layer.read_flag("batchMode", default=True) and len(sizes) != 1:
        raise layer.fail("batchMode: expected true or nothing, got false, which may mix the images of a batch")
    if -1 in sizes:
        raise layer.fail(f"size: expected whole numbers of at least 1, got {sizes}")
    return Reshape(_check_sizes(layer, sizes))


def build_linear(layer: Layer) -> nn.Module:
    """A weight `(outputs, inputs)`, and a bias where there is one."""
    outputs, inputs = layer.read_shape("weight", 2)
    tensors = {"weight": layer.read_tensor("weight", (outputs, inputs))}
    if layer.has("bias"):
        tensors["bias"] = layer.read_tensor("bias", (outputs,))
    return fill(Linear(inputs, outputs, bias="bias" in tensors, device="meta"), tensors)


def _check_sizes(layer: Layer, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """With two axes Torch7 would take the first for a batch wherever it has no more than one image."""
    if len(sizes) not in (1, 3) or sizes.count(-1) > 1 or not all(size == -1 or size > 0 for size in sizes):
        raise layer.fail(f"size: expected a row or (C, H, W) for each image, got {sizes}")
    return sizes


SHAPES: Mapping[str, Callable[[Layer], nn.Module]] = {
    "nn.View": build_view,
    "nn.Reshape": build_reshape,
    "nn.Linear": build_linear,
}
