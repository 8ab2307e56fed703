"""ATen operations in normalised form: one short function for each, in one table.

A function returns the operation and the names of the tensors it reads, or None when this use of it is not
understood; the caller then records it as Opaque. Arguments arrive by the names of the ATen schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from fullyconv.capture.calls import Ref
from fullyconv.graph import (
    AdaptivePool,
    ChannelAffine,
    Concat,
    Dense,
    Expand,
    GroupNorm,
    Identity,
    Norm,
    Operation,
    Pad,
    Pair,
    Permute,
    Pointwise,
    PRelu,
    Reduce,
    Regroup,
    Select,
    Shape,
    Slice,
    Softmax,
    Split,
    WindowPool,
)

Normal = tuple[Operation, tuple[str, ...]] | None


@dataclass(frozen=True, slots=True)
class Use:
    """One use of an ATen operation: its arguments by name, the shapes that it reads, and those it gives.

    `outputs_read` says which of its outputs others read; `constants` holds the tensors that do not depend on the
    image, by name.
    """

    arguments: Mapping[str, Any]
    shapes: Mapping[str, Shape]
    output_shapes: tuple[Shape, ...]
    outputs_read: frozenset[int] = frozenset({0})
    constants: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def name(self, argument: str) -> str:
        """Returns the name of a tensor argument, "" where it is missing."""
        value = self.arguments.get(argument)
        return value.name if isinstance(value, Ref) else ""

    def names(self, *arguments: str) -> tuple[str, ...]:
        """Returns the names of several tensor arguments."""
        return tuple(self.name(argument) for argument in arguments)

    def shape(self, argument: str = "self") -> Shape:
        """Returns the shape of a tensor argument at window size."""
        return self.shapes[self.name(argument)]

    def axis(self, value: int, argument: str = "self") -> int:
        """Returns an axis number as one of 0 to rank - 1."""
        return value % max(len(self.shape(argument)), 1)


def read_pair(values: Any) -> Pair:
    """Returns a number for rows and one for columns; one for both may be given."""
    values = [values] if isinstance(values, int) else list(values)
    return (values[0], values[-1])


def _both_sides(values: Any) -> tuple[Pair, Pair]:
    rows, columns = read_pair(values)
    return (rows, rows), (columns, columns)


def _max_pool2d(use: Use) -> Normal:
    kernel = read_pair(use["kernel_size"])
    stride = read_pair(use["stride"]) if use["stride"] else kernel
    padding, dilation = _both_sides(use["padding"]), read_pair(use["dilation"])
    return WindowPool("max", kernel, stride, padding, dilation, use["ceil_mode"]), use.names("self")


def _avg_pool2d(use: Use) -> Normal:
    kernel = read_pair(use["kernel_size"])
    stride = read_pair(use["stride"]) if use["stride"] else kernel
    op = WindowPool(
        "average",
        kernel,
        stride,
        _both_sides(use["padding"]),
        ceil_mode=use["ceil_mode"],
        count_include_pad=use["count_include_pad"],
        divisor=use["divisor_override"],
    )
    return op, use.names("self")


def _adaptive_avg_pool2d(use: Use) -> Normal:
    return AdaptivePool("average", read_pair(use["output_size"])), use.names("self")


def _adaptive_max_pool2d(use: Use) -> Normal:
    return AdaptivePool("max", read_pair(use["output_size"])), use.names("self")


def _reduce(kind: str) -> Callable[[Use], Normal]:
    def normalise(use: Use) -> Normal:
        if use.arguments.get("dtype") is not None:
            return None
        axes = use.arguments.get("dim")
        axes = list(range(len(use.shape()))) if axes is None or axes == [] else axes
        axes = [axes] if isinstance(axes, int) else axes
        chosen = tuple(sorted(use.axis(axis) for axis in axes))
        return Reduce(kind, chosen, bool(use.arguments.get("keepdim", False))), use.names("self")  # type: ignore[arg-type]

    return normalise


def _max(use: Use) -> Normal:
    """Over one axis, where nobody asks for the indices, or value by value: both are called max."""
    if use.name("other"):
        return Pointwise("maximum"), use.names("self", "other")
    return _reduce("max")(use) if use.outputs_read == {0} else None


def _adaptive_avg_pool1d(use: Use) -> Normal:
    if read_pair(use["output_size"]) != (1, 1):
        return None
    return Reduce("mean", (use.axis(-1),), keepdim=True), use.names("self")


def _linear(use: Use) -> Normal:
    """Refused: a bias of one value for all outputs."""
    if use.name("bias") and use.shape("bias") != use.shape("weight")[:1]:
        return None
    return Dense(), use.names("input", "weight", "bias")


def _addmm(use: Use) -> Normal:
    """Refused: factors; a bias that is not one value for each output."""
    if (use["beta"], use["alpha"]) != (1, 1) or use.shape() != use.shape("mat2")[1:]:
        return None
    return Dense(transposed=True), use.names("mat1", "mat2", "self")


def _regroup(use: Use) -> Normal:
    return Regroup(), use.names("self")


def _expand(use: Use) -> Normal:
    if prod(use.shape()) == prod(use.output_shapes[0]):
        return Regroup(), use.names("self")
    return Expand(), use.names("self")


def _permute(use: Use) -> Normal:
    return Permute(tuple(use.axis(axis) for axis in use["dims"])), use.names("self")


def _transpose(use: Use) -> Normal:
    order = list(range(len(use.shape())))
    names = ("axis0", "axis1") if "axis0" in use.arguments else ("dim0", "dim1")  # swapaxes and its kin
    a, b = (use.axis(use[name]) for name in names)
    order[a], order[b] = order[b], order[a]
    return Permute(tuple(order)), use.names("self")


def _movedim(use: Use) -> Normal:
    sources, places = use["source"], use["destination"]
    sources, places = ([value] if isinstance(value, int) else list(value) for value in (sources, places))
    moved = {use.axis(place): use.axis(source) for source, place in zip(sources, places, strict=True)}
    rest = iter(axis for axis in range(len(use.shape())) if axis not in moved.values())
    order = tuple(moved[axis] if axis in moved else next(rest) for axis in range(len(use.shape())))
    return Permute(order), use.names("self")


def _t(use: Use) -> Normal:
    return Permute(tuple(reversed(range(len(use.shape()))))), use.names("self")


def _identity(use: Use) -> Normal:
    return Identity(), use.names("self" if "self" in use.arguments else "input")


def _dropout(use: Use) -> Normal:
    return None if use["train"] and use["p"] > 0 else _identity(use)


def _batch_norm(use: Use) -> Normal:
    if use.arguments.get("training") or not use.name("running_mean"):
        return None
    return ChannelAffine(use["eps"]), use.names("input", "running_mean", "running_var", "weight", "bias")


def _layer_norm(use: Use) -> Normal:
    return Norm(len(use["normalized_shape"]), use["eps"]), use.names("input", "weight", "bias")


def _group_norm(use: Use) -> Normal:
    return GroupNorm(use["num_groups"], use["eps"]), use.names("input", "weight", "bias")


def _instance_norm(use: Use) -> Normal:
    """With running statistics it is batch normalisation; where it also updates them, it is neither."""
    if not use["use_input_stats"]:
        return ChannelAffine(use["eps"]), use.names("input", "running_mean", "running_var", "weight", "bias")
    if use.name("running_mean"):
        return None
    return GroupNorm(use.shape("input")[1], use["eps"]), use.names("input", "weight", "bias")


def _prelu(use: Use) -> Normal:
    return PRelu(), use.names("self", "weight")


def _softmax(log: bool) -> Callable[[Use], Normal]:
    def normalise(use: Use) -> Normal:
        if use.arguments.get("dtype") is not None:
            return None
        return Softmax(use.axis(use["dim"]), log), use.names("self")

    return normalise


def _cat(use: Use) -> Normal:
    parts = use["tensors"]
    if not all(isinstance(part, Ref) for part in parts):
        return None
    return Concat(use["dim"] % len(use.shapes[parts[0].name])), tuple(part.name for part in parts)


def _split(use: Use) -> Normal:
    axis = use.axis(use["dim"])
    return Split(axis, tuple(shape[axis] for shape in use.output_shapes)), use.names("self")


def _slice(use: Use) -> Normal:
    axis = use.axis(use["dim"])
    start, stop, step = slice(use["start"], use["end"], use["step"]).indices(use.shape()[axis])
    return Slice(axis, start, stop, step), use.names("self")


def _narrow(use: Use) -> Normal:
    axis = use.axis(use["dim"])
    if not isinstance(use["start"], int):
        return None
    start = use["start"] % use.shape()[axis]
    return Slice(axis, start, start + use["length"], 1), use.names("self")


def _select(use: Use) -> Normal:
    axis = use.axis(use["dim"])
    return Select(axis, use["index"] % use.shape()[axis]), use.names("self")


def _pad(use: Use) -> Normal:
    flat = list(use["pad"])
    pairs = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]  # last axis first
    if not any(flat):  # padding to a multiple that the window's size is already
        return _identity(use)
    pads = [(0, 0)] * (len(use.shape()) - len(pairs)) + pairs[::-1]
    mode, value = use.arguments.get("mode", "constant"), use.arguments.get("value") or 0.0
    return Pad(tuple(pads), mode, float(value)), use.names("self")


NORMALISERS: Mapping[str, Callable[[Use], Normal]] = {
    "max_pool2d": _max_pool2d,
    "max_pool2d_with_indices": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "_adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "adaptive_max_pool2d": _adaptive_max_pool2d,
    "adaptive_avg_pool1d": _adaptive_avg_pool1d,
    "mean": _reduce("mean"),
    "sum": _reduce("sum"),
    "amax": _reduce("max"),
    "max": _max,
    "linear": _linear,
    "addmm": _addmm,
    **dict.fromkeys(
        ("view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_copy"),
        _regroup,
    ),
    **dict.fromkeys(("expand", "expand_as"), _expand),
    "permute": _permute,
    "transpose": _transpose,
    **dict.fromkeys(("swapaxes", "swapdims"), _transpose),
    **dict.fromkeys(("movedim", "moveaxis"), _movedim),
    "t": _t,
    "numpy_T": _t,
    **dict.fromkeys(("contiguous", "clone", "detach", "alias", "lift_fresh_copy"), _identity),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), _dropout),
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "prelu": _prelu,
    "softmax": _softmax(log=False),
    "_softmax": _softmax(log=False),
    "log_softmax": _softmax(log=True),
    "_log_softmax": _softmax(log=True),
    "cat": _cat,
    "concat": _cat,
    "split": _split,
    "split_with_sizes": _split,
    "chunk": _split,
    "tensor_split": _split,
    "narrow": _narrow,
    "slice": _slice,
    "select": _select,
    "pad": _pad,
    "constant_pad_nd": _pad,
}

# Operations that work value by value although ATen does not tag them so.
POINTWISE = frozenset({
    *("relu6", "selu", "hardswish", "mish", "silu", "gelu", "hardsigmoid", "hardtanh", "log_sigmoid"),
    *("threshold", "to", "_to_copy", "type_as", "float", "half", "clip", "square", "where", "softshrink"),
    *("multiply", "divide", "subtract", "true_divide", "negative", "absolute", "elu", "celu"),
})  # fmt: skip

POINTWISE_NAMES = {"multiply": "mul", "divide": "div", "true_divide": "div", "subtract": "sub"}
