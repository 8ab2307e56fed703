"""ATen's convolutions, in normalised form: one short function for each, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fullyconv.capture.aten_operations import Normal, Use, read_pair
from fullyconv.graph import Contract, Conv, Conv1d, Operation, Pair, Shape
from fullyconv.patches import Patches, TransposedConv


def _conv2d(use: Use) -> Normal:
    dilation, weight = read_pair(use["dilation"]), use.shape("weight")
    padding = use["padding"]
    if isinstance(padding, str):  # 'same' puts the odd pixel at the end, as torch.nn.functional.conv2d documents
        reach = [d * (k - 1) if padding == "same" else 0 for d, k in zip(dilation, weight[2:], strict=True)]
        pads = tuple((r // 2, r - r // 2) for r in reach)
    else:
        pads = tuple((p, p) for p in read_pair(padding))
    op = Conv(read_pair(use["stride"]), (pads[0], pads[1]), dilation, use["groups"])
    return op, use.names("input", "weight", "bias")


def _conv1d(use: Use) -> Normal:
    """Refused: a value without a batch."""
    if len(use.shape("input")) != 3:
        return None
    weight = use.shape("weight")
    stride, dilation = _single(use["stride"]), _single(use["dilation"])
    padding = _find_padding(use["padding"], (weight[2] - 1) * dilation)
    return simplify_conv1d(Conv1d(stride, padding, dilation, use["groups"]), weight), use.names(
        "input", "weight", "bias"
    )


def _find_padding(given: object, reach: int) -> Pair:
    """Returns the zeros before and after, where "same" pads what the kernel reaches over, the odd one behind."""
    if isinstance(given, str):
        return (reach // 2, reach - reach // 2) if given == "same" else (0, 0)
    return _single(given), _single(given)


def _single(value: Any) -> int:
    return value if isinstance(value, int) else int(value[0])


def simplify_conv1d(op: Conv1d, weight: Shape) -> Operation:
    """Returns a product over several channels where a kernel is one value that moves by one."""
    still = op.stride == 1 and op.padding == (0, 0) and op.groups == 1
    return Contract(("ncx", "kcz"), "nkx") if still and weight[1] > 1 and weight[2] == 1 else op


def _conv_transpose2d(use: Use) -> Normal:
    stride, padding, dilation = ((pair[0], pair[-1]) for pair in (use["stride"], use["padding"], use["dilation"]))
    kernel, (height, width) = use.shape("weight")[2:], use.output_shapes[0][2:]
    op = TransposedConv(Patches((kernel[0], kernel[1]), dilation, padding, stride), (height, width), use["groups"])
    return op, use.names("input", "weight", "bias")


def _convolution(use: Use) -> Normal:
    """The general one, as traced models have it. Refused: transposed along one axis; along three."""
    axes = len(use.shape("weight")) - 2
    if axes == 2:
        return _conv_transpose2d(use) if use["transposed"] else _conv2d(use)
    return _conv1d(use) if axes == 1 and not use["transposed"] else None


CONVOLUTIONS: Mapping[str, Callable[[Use], Normal]] = {
    "conv1d": _conv1d,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "convolution": _convolution,
}
