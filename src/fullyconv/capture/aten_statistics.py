"""ATen reductions that no pool gives, normalisations by them, and pools that slide along one axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fullyconv.capture.aten_operations import Normal, Use
from fullyconv.graph import Moments, Pointwise, PoolAlong, Reduce, RmsNorm, Statistic, StatisticKind

Normaliser = Callable[[Use], Normal]


def _statistic(use: Use, kind: StatisticKind, parameter: float = 0.0) -> Statistic | None:
    """Returns the reduction over the axes that the call names, over all where it names none."""
    if use.arguments.get("dtype") is not None:
        return None
    axes, rank = use.arguments.get("dim"), len(use.shape())
    axes = range(rank) if axes is None or axes == [] else [axes] if isinstance(axes, int) else axes
    return Statistic(
        kind, tuple(sorted(use.axis(axis) for axis in axes)), bool(use.arguments.get("keepdim")), parameter
    )


def _with_source(statistic: Statistic | None, use: Use) -> Normal:
    return None if statistic is None else (statistic, use.names("self"))


def _plain(kind: StatisticKind) -> Normaliser:
    def normalise(use: Use) -> Normal:
        return _with_source(_statistic(use, kind), use)

    return normalise


def _min(use: Use) -> Normal:
    """Over one axis, where nobody asks for the indices, or value by value: both are called min."""
    if use.name("other"):
        return Pointwise("minimum"), use.names("self", "other")
    return _plain("min")(use) if use.outputs_read == {0} else None


def _spread(use: Use, kind: StatisticKind) -> Statistic | None:
    """Returns a variance or deviation; its overloads say in two ways what is taken off the number of values."""
    correction: Any = use.arguments.get("unbiased", use.arguments.get("correction"))
    parameter = 1.0 if correction is None else float(correction)
    return _statistic(use, kind, parameter) if parameter in (0, 1) else None


def _one_moment(kind: StatisticKind) -> Normaliser:
    def normalise(use: Use) -> Normal:
        return _with_source(_spread(use, kind), use)

    return normalise


def _two_moments(kind: StatisticKind) -> Normaliser:
    def normalise(use: Use) -> Normal:
        spread = _spread(use, kind)
        return None if spread is None else (Moments(spread), use.names("self"))

    return normalise


def _vector_norm(use: Use) -> Normal:
    order = use.arguments.get("p", use.arguments.get("ord", 2))
    return _with_source(_statistic(use, "norm", 2.0 if order is None else float(order)), use)


def _linalg_norm(use: Use) -> Normal:
    """Of one axis a norm of vectors; of two axes a norm of matrices, which is one of vectors if no order is given."""
    order, axes = use["ord"], use["dim"]
    if isinstance(order, str) or (
        order is not None and (axes is None or (not isinstance(axes, int) and len(axes) > 1))
    ):
        return None
    return _vector_norm(use)


def _rms_norm(use: Use) -> Normal:
    return RmsNorm(len(use["normalized_shape"]), use["eps"]), use.names("input", "weight")


def _pool_along(kind: Any, rank: int) -> Normaliser:
    """Understands a pool over the last `rank` axes whose kernel reaches along one of them only."""

    def normalise(use: Use) -> Normal:
        kernel, padding = _spell(use["kernel_size"], rank), _spell(use["padding"], rank)
        stride = _spell(use["stride"], rank) if use["stride"] else kernel
        dilation = _spell(use.arguments.get("dilation", 1), rank)
        still = [numbers == (1, 1, 0) for numbers in zip(kernel, stride, padding, strict=True)]
        if still.count(False) > 1:
            return None
        place = still.index(False) if False in still else 0
        axis = use.axis(place - rank)
        if kernel[place] == use.shape()[axis] and not padding[place] and not use.arguments.get("divisor_override"):
            return Reduce("mean" if kind == "average" else "max", (axis,), keepdim=True), use.names("self")
        op = PoolAlong(
            kind,
            axis,
            kernel[place],
            stride[place],
            padding[place],
            dilation[place],
            bool(use["ceil_mode"]),
            bool(use.arguments.get("count_include_pad", True)),
            use.arguments.get("divisor_override"),
        )
        return op, use.names("self")

    return normalise


def _spell(numbers: Any, rank: int) -> list[int]:
    spelled = [numbers] if isinstance(numbers, int) else list(numbers)
    return spelled * rank if len(spelled) == 1 else spelled


STATISTICS: Mapping[str, Normaliser] = {
    "amin": _plain("min"),
    "min": _min,
    "prod": _plain("product"),
    "logsumexp": _plain("logsumexp"),
    "var": _one_moment("variance"),
    "std": _one_moment("deviation"),
    "var_mean": _two_moments("variance"),
    "std_mean": _two_moments("deviation"),
    **dict.fromkeys(("linalg_vector_norm", "norm", "frobenius_norm"), _vector_norm),
    "linalg_norm": _linalg_norm,
    "rms_norm": _rms_norm,
    "avg_pool1d": _pool_along("average", 1),
    "avg_pool3d": _pool_along("average", 3),
    "max_pool1d": _pool_along("max", 1),
    "max_pool3d": _pool_along("max", 3),
}
