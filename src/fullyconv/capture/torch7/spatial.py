"""Layers that look at neighbours: convolutions, pools, zero padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from fullyconv.capture.torch7.fields import Layer, fill
from fullyconv.capture.torch7.pointwise import Scale

Size = tuple[int, int]

# More than any window needs; a damaged file with more could ask for any amount of memory.
_WIDEST_PAD_PX = 1024


def build_convolution(layer: Layer) -> nn.Module:
    """A cross-correlation; weights of SpatialConvolutionMM are flat: `(out, in * kH * kW)`.

    Old files have one `padding` for both axes, which counts before padW and padH, and no groups.
    """
    inputs, outputs = layer.read_int("nInputPlane", 1), layer.read_int("nOutputPlane", 1)
    kernel, stride, groups = _read_kernel(layer), _read_stride(layer), layer.read_int("groups", 1, default=1)
    if inputs % groups or outputs % groups:
        raise layer.fail(f"groups: expected a divisor of {inputs} and {outputs}, got {groups}")
    full, flat = (outputs, inputs // groups, *kernel), (outputs, inputs // groups * kernel[0] * kernel[1])
    tensors = {"weight": layer.read_tensor("weight", full, *([flat] if groups == 1 else []))}
    if layer.has("bias"):
        tensors["bias"] = layer.read_tensor("bias", (outputs,))
    padding = _read_convolution_padding(layer)
    made = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias="bias" in tensors, device="meta")
    return fill(made, tensors)


def build_max_pool(layer: Layer) -> nn.Module:
    """The maximum over windows; with ceil_mode the last window may reach beyond the image."""
    kernel, stride, padding = _read_kernel(layer), _read_stride(layer), _read_padding(layer)
    ceil = _read_ceil(layer, kernel, stride, padding)
    return nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)


def build_average_pool(layer: Layer) -> nn.Module:
    """The mean over windows, or their sum: where `divide` is false, or missing, as in files from before it existed.

    Files from before ceil_mode have no padding either.
    """
    kernel, stride, padding = _read_kernel(layer), _read_stride(layer), _read_average_padding(layer)
    ceil = _read_ceil(layer, kernel, stride, padding)
    if (ceil or any(padding)) and not layer.has("count_include_pad"):
        raise layer.fail("count_include_pad: expected a boolean beside padding or ceil_mode, got nothing")
    counts = layer.read_flag("count_include_pad", default=True)
    pool = nn.AvgPool2d(kernel, stride, padding, ceil, counts)
    return pool if layer.read_flag("divide", default=False) else nn.Sequential(pool, Scale(kernel[0] * kernel[1]))


def build_cudnn_average_pool(layer: Layer) -> nn.Module:
    """The mean over whole windows, padding counted; what cuDNN divides by elsewhere is not documented well enough."""
    kernel, stride, padding = _read_kernel(layer), _read_stride(layer), _read_average_padding(layer)
    if layer.read_flag("ceil_mode", default=False):
        raise layer.fail("ceil_mode: expected false, got true; what cuDNN divides by at the border is not known")
    counts = layer.read_flag("count_include_pad", default=True) or not any(padding)
    if not layer.read_flag("divide", default=True) or not counts:
        raise layer.fail("expected a mean that counts padding, which is all that this layer of Torch7 can do")
    return nn.AvgPool2d(kernel, stride, padding)


def build_zero_padding(layer: Layer) -> nn.Module:
    """Zeros around the image; a negative number cuts off instead."""
    left, right, top, bottom = (
        _read_pad(layer, name, -_WIDEST_PAD_PX) for name in ("pad_l", "pad_r", "pad_t", "pad_b")
    )
    return nn.ZeroPad2d((left, right, top, bottom))


def _read_kernel(layer: Layer) -> Size:
    return layer.read_int("kH", 1), layer.read_int("kW", 1)


def _read_stride(layer: Layer) -> Size:
    return layer.read_int("dH", 1), layer.read_int("dW", 1)


def _read_padding(layer: Layer) -> Size:
    height, width = (_read_pad(layer, name) if layer.has(name) else 0 for name in ("padH", "padW"))
    return height, width


def _read_pad(layer: Layer, name: str, least: int = 0) -> int:
    return layer.read_int(name, least, most=_WIDEST_PAD_PX)


def _read_convolution_padding(layer: Layer) -> Size:
    padding = _read_padding(layer)
    if not layer.has("padding"):
        return padding
    one = (_read_pad(layer, "padding"),) * 2
    if layer.class_name.startswith("cudnn.") and padding != one:  # which counts there, versions do not agree on
        raise layer.fail(f"padding: expected what padH and padW say, {padding}, got {one}")
    return one


def _read_average_padding(layer: Layer) -> Size:
    padding = _read_padding(layer)
    if any(padding) and not layer.has("ceil_mode"):  # Torch7 ignores padding then, because such files had none
        raise layer.fail(f"padH and padW: expected 0 where there is no ceil_mode, got {padding}")
    return padding


def _read_ceil(layer: Layer, kernel: Size, stride: Size, padding: Size) -> bool:
    # Torch7 and PyTorch differ on last windows that begin outside of the image. There are none where p <= k - s.
    ceil = layer.read_flag("ceil_mode", default=False)
    if ceil and any(p > k - s for k, s, p in zip(kernel, stride, padding, strict=True)):
        raise layer.fail("ceil_mode: expected that no window begins outside of the image; stride and padding are large")
    return ceil


SPATIAL: Mapping[str, Callable[[Layer], nn.Module]] = {
    "nn.SpatialConvolution": build_convolution,
    "nn.SpatialConvolutionMM": build_convolution,
    "cudnn.SpatialConvolution": build_convolution,
    "nn.SpatialMaxPooling": build_max_pool,
    "cudnn.SpatialMaxPooling": build_max_pool,
    "nn.SpatialAveragePooling": build_average_pool,
    "cudnn.SpatialAveragePooling": build_cudnn_average_pool,
    "nn.SpatialZeroPadding": build_zero_padding,
}
