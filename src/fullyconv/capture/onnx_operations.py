"""ONNX operators in normalised form: one short function for each, in one table.

As for ATen, a function returns the operation and the names of what it reads, or None when this use of it is not
understood. The operators are those of opset 18 and later, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fullyconv.capture.aten_convolutions import simplify_conv1d
from fullyconv.capture.aten_products import normalise_einsum, normalise_products
from fullyconv.graph import (
    ChannelAffine,
    Conv,
    Conv1d,
    Dense,
    Identity,
    Norm,
    Operation,
    Pair,
    Pointwise,
    PoolAlong,
    Reduce,
    Shape,
    Softmax,
    Statistic,
    StatisticKind,
    WindowPool,
)

if TYPE_CHECKING:
    import onnx_ir as ir

Normal = tuple[Operation, tuple[str, ...]] | None
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class OnnxUse:
    """One use of an operator.

    Attributes:
        node: the operator's node.
        inputs: the names of what it reads; "" for a missing optional one.
        shapes: at window size, by name.
        constants: what does not depend on the image, by name.
        output_shapes: of what it gives.
        outputs_read: which of that others read.
        add_constant: keeps a new constant and returns its name.
    """

    node: ir.Node
    inputs: tuple[str, ...]
    shapes: Mapping[str, Shape]
    constants: Mapping[str, Callable[[], Array]]
    output_shapes: tuple[Shape, ...]
    outputs_read: frozenset[int]
    add_constant: Callable[[str, Array], str]

    def get(self, name: str, default: Any = None) -> Any:
        """Returns an attribute."""
        found = self.node.attributes.get(name)
        return default if found is None else found.value

    def name(self, place: int) -> str:
        """Returns the name of an input, "" where it is missing."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def shape(self, place: int = 0) -> Shape:
        """Returns the shape of an input."""
        return self.shapes[self.inputs[place]]

    def read(self, place: int) -> Array | None:
        """Returns an input that is a constant; None where it is missing, or depends on the image."""
        name = self.name(place)
        return self.constants[name]() if name in self.constants else None

    def axis(self, value: int, place: int = 0) -> int:
        """Returns an axis number as one of 0 to rank - 1."""
        return int(value) % max(len(self.shape(place)), 1)

    def is_constant_or_missing(self, place: int) -> bool:
        """Returns whether an input does not depend on the image."""
        return self.name(place) == "" or self.name(place) in self.constants


def find_pads(use: OnnxUse, kernel: Pair, stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """Returns the zeros on both sides of rows and columns; where the operator finds them by itself, at window size.

    At another size SAME would pad otherwise, and the network would be another one for each image.
    """
    mode = use.get("auto_pad", "NOTSET")
    if mode == "VALID":
        return (0, 0), (0, 0)
    if mode == "NOTSET":
        top, left, bottom, right = use.get("pads", (0, 0, 0, 0))
        return (top, bottom), (left, right)
    sides = []
    for size, cells, step, spread in zip(use.shape()[2:], kernel, stride, dilation, strict=True):
        total = max((-(-size // step) - 1) * step + (cells - 1) * spread + 1 - size, 0)
        small, large = total // 2, total - total // 2
        sides.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return sides[0], sides[1]


def _pair(values: Any) -> Pair:
    first, last = values
    return int(first), int(last)


def _conv(use: OnnxUse) -> Normal:
    weight = use.shape(1)
    if len(weight) == 3:
        return _conv1d(use, weight)
    if len(weight) != 4:
        return None
    stride, dilation = _pair(use.get("strides", (1, 1))), _pair(use.get("dilations", (1, 1)))
    pads = find_pads(use, (weight[2], weight[3]), stride, dilation)
    return Conv(stride, pads, dilation, use.get("group", 1)), (use.name(0), use.name(1), use.name(2))


def _conv1d(use: OnnxUse, weight: Shape) -> Normal:
    """Refused: padding that follows the size, as axes of channels have no other."""
    if use.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return None
    (stride,), (dilation,) = use.get("strides", (1,)), use.get("dilations", (1,))
    before, after = use.get("pads", (0, 0)) if use.get("auto_pad", "NOTSET") == "NOTSET" else (0, 0)
    op = Conv1d(stride, (before, after), dilation, use.get("group", 1))
    return simplify_conv1d(op, weight), (use.name(0), use.name(1), use.name(2))


def _max_pool(use: OnnxUse) -> Normal:
    if use.outputs_read - {0}:
        return None
    if len(use.shape()) != 4:
        return _pool_along(use, "max")
    kernel, stride = _pair(use.get("kernel_shape")), _pair(use.get("strides", (1, 1)))
    dilation = _pair(use.get("dilations", (1, 1)))
    pads = find_pads(use, kernel, stride, dilation)
    return WindowPool("max", kernel, stride, pads, dilation, bool(use.get("ceil_mode", 0))), use.inputs[:1]


def _average_pool(use: OnnxUse) -> Normal:
    """Refused: with gaps between the cells."""
    if len(use.shape()) != 4:
        return _pool_along(use, "average")
    if any(gap != 1 for gap in use.get("dilations", (1, 1))):
        return None
    kernel, stride = _pair(use.get("kernel_shape")), _pair(use.get("strides", (1, 1)))
    pool = WindowPool(
        "average",
        kernel,
        stride,
        find_pads(use, kernel, stride, (1, 1)),
        ceil_mode=bool(use.get("ceil_mode", 0)),
        count_include_pad=bool(use.get("count_include_pad", 0)),
    )
    return pool, use.inputs[:1]


def _pool_along(use: OnnxUse, kind: Literal["max", "average"]) -> Normal:
    """Of values with one or three axes behind the channels, where the kernel reaches along one of them.

    Refused: along several; with other padding at the end than at the beginning.
    """
    kernel = use.get("kernel_shape")
    rank = len(kernel)
    stride, dilation = use.get("strides", (1,) * rank), use.get("dilations", (1,) * rank)
    pads = use.get("pads", (0,) * 2 * rank)
    numbers = list(zip(kernel, stride, pads[:rank], pads[rank:], strict=True))
    reaching = [place for place, each in enumerate(numbers) if each != (1, 1, 0, 0)]
    if use.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or len(reaching) > 1:
        return None
    place = reaching[0] if reaching else 0
    axis, (cells, step, before, after) = 2 + place, numbers[place]
    if before != after:
        return None
    if cells == use.shape()[axis] and not before and dilation[place] == 1:
        return Reduce("mean" if kind == "average" else "max", (axis,), keepdim=True), use.inputs[:1]
    ceil, counts = bool(use.get("ceil_mode", 0)), bool(use.get("count_include_pad", 0))
    if kind == "average" and dilation[place] != 1:
        return None
    return PoolAlong(kind, axis, cells, step, before, dilation[place], ceil, counts), use.inputs[:1]


def _global_pool(kind: Any) -> Callable[[OnnxUse], Normal]:
    def normalise(use: OnnxUse) -> Normal:
        return Reduce(kind, tuple(range(2, len(use.shape()))), keepdim=True), use.inputs[:1]

    return normalise


def find_axes(use: OnnxUse) -> tuple[int, ...] | None:
    """Returns the axes of a reduction; all where none are named, unless that is to mean none."""
    if not use.is_constant_or_missing(1):
        return None
    given = use.read(1)
    named = [] if given is None else given.reshape(-1).tolist()
    if not named:
        return () if use.get("noop_with_empty_axes", 0) else tuple(range(len(use.shape())))
    return tuple(sorted(use.axis(axis) for axis in named))


def _reduce(kind: Any) -> Callable[[OnnxUse], Normal]:
    def normalise(use: OnnxUse) -> Normal:
        axes = find_axes(use)
        if not axes:
            return None
        return Reduce(kind, axes, bool(use.get("keepdims", 1))), use.inputs[:1]

    return normalise


def _statistic(kind: StatisticKind, parameter: float = 0.0) -> Callable[[OnnxUse], Normal]:
    def normalise(use: OnnxUse) -> Normal:
        axes = find_axes(use)
        if not axes:
            return None
        return Statistic(kind, axes, bool(use.get("keepdims", 1)), parameter), use.inputs[:1]

    return normalise


def _gemm(use: OnnxUse) -> Normal:
    """`alpha * A @ B + beta * C`; factors and a C that is broadcast go into new constants.

    Refused: A the other way round, a C that differs within the batch.
    """
    if use.get("transA", 0) or not use.is_constant_or_missing(1) or not use.is_constant_or_missing(2):
        return None
    alpha, beta, transposed = use.get("alpha", 1.0), use.get("beta", 1.0), not use.get("transB", 0)
    outputs = use.shape(1)[1 if transposed else 0]
    weight = use.inputs[1]
    if alpha != 1:
        matrix = use.read(1)
        assert matrix is not None  # it is a constant
        weight = use.add_constant("weight", (matrix * matrix.dtype.type(alpha)).astype(matrix.dtype))
    bias, shift = use.name(2), use.read(2)
    if shift is not None and (beta != 1 or shift.shape != (outputs,)):
        if shift.size != 1 and shift.shape not in ((outputs,), (1, outputs)):
            return None
        spread = np.broadcast_to(shift.reshape(-1) * shift.dtype.type(beta), (outputs,))
        bias = use.add_constant("bias", np.ascontiguousarray(spread.astype(shift.dtype)))
    return Dense(transposed), (use.inputs[0], weight, bias)


def _matmul(use: OnnxUse) -> Normal:
    first, second = use.inputs[:2]
    return normalise_products((first, second), (use.shapes[first], use.shapes[second]))


def _einsum(use: OnnxUse) -> Normal:
    equation = use.get("equation")
    return normalise_einsum(equation, list(use.inputs), [use.shapes[name] for name in use.inputs])


def _batch_norm(use: OnnxUse) -> Normal:
    if use.get("training_mode", 0) or use.get("spatial", 1) != 1 or use.outputs_read - {0}:
        return None
    x, scale, shift, mean, variance = use.inputs[:5]
    return ChannelAffine(use.get("epsilon", 1e-5)), (x, mean, variance, scale, shift)


def _layer_norm(use: OnnxUse) -> Normal:
    if use.outputs_read - {0}:
        return None
    axes = len(use.shape()) - use.axis(use.get("axis", -1))
    return Norm(axes, use.get("epsilon", 1e-5)), (use.inputs[0], use.name(1), use.name(2))


def _softmax(log: bool) -> Callable[[OnnxUse], Normal]:
    def normalise(use: OnnxUse) -> Normal:
        return Softmax(use.axis(use.get("axis", -1)), log), use.inputs[:1]

    return normalise


def _dropout(use: OnnxUse) -> Normal:
    """Refused: while it trains, or where it is not known whether it does, or somebody reads its mask."""
    training = use.read(2)
    if use.outputs_read - {0} or not use.is_constant_or_missing(2) or (training is not None and training.any()):
        return None
    return Identity(), use.inputs[:1]


def _cast(use: OnnxUse) -> Normal:
    return Pointwise("cast"), use.inputs[:1]


def _with_settings(use: OnnxUse) -> Normal:
    """One value and settings, which stay as they are; refused: settings that depend on the image, or are no scalars."""
    places = range(1, len(use.inputs))
    if not all(use.is_constant_or_missing(place) for place in places):
        return None
    if any(use.name(place) and prod(use.shape(place)) != 1 for place in places):
        return None
    return Pointwise(use.node.op_type.lower()), use.inputs[:1]


def _value_by_value(use: OnnxUse) -> Normal:
    return Pointwise(use.node.op_type.lower()), use.inputs


# Functions of each value by itself.
_FUNCTIONS = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp"),
    *("Floor", "Gelu", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not"),
    *("Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt"),
    *("Swish", "Tan", "Tanh", "ThresholdedRelu", "Shrink"),
)

# Of several values at the same place, after broadcasting. Of these, folding knows Add, Sub, Mul and Div.
_COMBINATIONS = (
    *("Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Mean", "Sum", "PRelu", "Where"),
    *("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor"),
)

NORMALISERS: Mapping[str, Callable[[OnnxUse], Normal]] = {
    "Conv": _conv,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_pool("mean"),
    "GlobalMaxPool": _global_pool("max"),
    "ReduceMean": _reduce("mean"),
    "ReduceMax": _reduce("max"),
    "ReduceSum": _reduce("sum"),
    "ReduceMin": _statistic("min"),
    "ReduceProd": _statistic("product"),
    "ReduceL1": _statistic("norm", 1.0),
    "ReduceL2": _statistic("norm", 2.0),
    "ReduceLogSumExp": _statistic("logsumexp"),
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Einsum": _einsum,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "Softmax": _softmax(log=False),
    "LogSoftmax": _softmax(log=True),
    "Dropout": _dropout,
    "Cast": _cast,
    "Clip": _with_settings,
    "QuantizeLinear": _with_settings,
    "DequantizeLinear": _with_settings,
    **dict.fromkeys(_FUNCTIONS, _value_by_value),
    **dict.fromkeys(_COMBINATIONS, _value_by_value),
}
