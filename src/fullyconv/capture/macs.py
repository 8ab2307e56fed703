"""Multiply-accumulates of an ATen call, from shapes; what the shared share of the arithmetic is counted in."""

from __future__ import annotations

from math import prod

from fullyconv.graph import Shape

_CONVOLUTIONS = {"conv1d", "conv2d", "conv3d", "convolution"}
_PRODUCTS = {"matmul", "mm", "bmm", "addmm", "baddbmm", "linear", "einsum"}


def count_macs(name: str, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> int:
    """Returns the multiply-accumulates of one call over its whole batch.

    Convolutions and matrix products are counted exactly, attention as its two products; anything else
    counts one for each output value.
    """
    values = sum(prod(shape) for shape in outputs)
    if name == "conv_transpose2d":
        return prod(inputs[0]) * prod(inputs[1][1:])
    if name in _CONVOLUTIONS and len(inputs) > 1:
        return values * prod(inputs[1][1:])
    if name in _PRODUCTS and len(inputs) > 1:
        return values * _find_inner_length(inputs, outputs[0])
    if name == "scaled_dot_product_attention":
        return 2 * prod(inputs[0]) * inputs[1][-2]
    return values


def _find_inner_length(inputs: tuple[Shape, ...], output: Shape) -> int:
    matrices = [shape for shape in inputs if len(shape) > 1][-2:]
    if len(matrices) < 2 or not prod(output):
        return 1
    last = matrices[0][-1]
    return last if last in matrices[1][-2:] else matrices[1][-1]
