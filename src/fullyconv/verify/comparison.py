"""How far two sets of scores are from each other, and whether that is rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fullyconv.grid import Pair
from fullyconv.verify.outputs import Cell, drop_ones

Guarantee = Literal["window", "feature windows", "image crops", "first-order sums"]
Quantity = Literal["scores", "logits"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The converted network against one reference, on one image, in one number type.

    Attributes:
        guarantee: what the reference is: the original on an image of exactly the window's size ("window"),
            its head on patches of the feature map, the original on pixel crops, or sums of such heads' answers for
            bands of the image.
        output: the name of the output in the network's own structure.
        quantity: the scores themselves or what the last softmax or sigmoid is given.
        dtype: "float32" or "float64".
        image: which image.
        image_px: its `(height, width)`.
        cells: how many windows were compared.
        max_abs: the largest difference; infinite where there is nothing to compare.
        max_rel: `max_abs` relative to the largest reference value.
        tolerance: what `max_rel` may be.
        passed: whether it is that or less, with the right shape, number type and only finite values.
        worst_cell: image of the batch, row and column where the difference is largest.
        detail: why it failed, where the numbers do not say it.
    """

    guarantee: Guarantee
    output: str
    quantity: Quantity
    dtype: str
    image: str
    image_px: Pair
    cells: int
    max_abs: float
    max_rel: float
    tolerance: float
    passed: bool
    worst_cell: Cell | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Pairing:
    """Scores of the same windows from the converted network and from a reference, not yet judged.

    Attributes:
        guarantee: what the reference is.
        output: the name of the output.
        quantity: scores or logits.
        image: which image.
        image_px: its `(height, width)`.
        cells: the B windows.
        found: `(B, ...)` from the converted network, None if it gave nothing of use.
        expected: `(B, ...)` from the reference, None if there is none.
        detail: why one of the two is missing.
    """

    guarantee: Guarantee
    output: str
    quantity: Quantity
    image: str
    image_px: Pair
    cells: tuple[Cell, ...]
    found: Tensor | None
    expected: Tensor | None
    detail: str = ""

    def key(self) -> tuple[str, str, str, str]:
        """Returns what this pairing has in common with the one in the other number type."""
        return self.guarantee, self.output, self.quantity, self.image


def judge(pairing: Pairing, dtype: torch.dtype, tolerance: float) -> Comparison:
    """Returns the comparison of a pairing whose tensors are expected in `dtype`."""
    detail = pairing.detail or _find_fault(pairing.found, pairing.expected, dtype)
    max_abs = max_rel = math.inf
    worst = None
    if not detail and pairing.found is not None and pairing.expected is not None:
        found, expected = drop_ones(pairing.found), drop_ones(pairing.expected)
        differences = (_as_floats(found) - _as_floats(expected)).abs().reshape(len(expected), -1).amax(1)
        max_abs = float(differences.max())
        max_rel = measure_relative(found, expected)
        worst = pairing.cells[int(differences.argmax())]
    return Comparison(
        guarantee=pairing.guarantee,
        output=pairing.output,
        quantity=pairing.quantity,
        dtype=str(dtype).removeprefix("torch."),
        image=pairing.image,
        image_px=pairing.image_px,
        cells=len(pairing.cells),
        max_abs=max_abs,
        max_rel=max_rel,
        tolerance=tolerance,
        passed=max_rel <= tolerance,
        worst_cell=worst,
        detail=detail,
    )


def measure_relative(found: Tensor, expected: Tensor) -> float:
    """Returns `max|found - expected| / max|expected|`; 0 for equal tensors, infinity beside zeros."""
    found, expected = _as_floats(found), _as_floats(expected)
    difference, largest = float((found - expected).abs().max()), float(expected.abs().max())
    if difference == 0:
        return 0.0
    return difference / largest if largest > 0 else math.inf


def _as_floats(values: Tensor) -> Tensor:
    """Returns whole numbers and truth values as float64, in which they can be subtracted."""
    return values if values.is_floating_point() else values.double()


def measure_noise(single: Tensor | None, double: Tensor | None) -> float:
    """Returns how far the reference's own float32 values are from its float64 values, relatively."""
    if single is None or double is None or single.shape != double.shape:
        return 0.0
    noise = measure_relative(single.double(), double)
    return noise if math.isfinite(noise) else 0.0


def _find_fault(found: Tensor | None, expected: Tensor | None, dtype: torch.dtype) -> str:
    if found is None or expected is None:
        return "nothing to compare"
    wanted = dtype if expected.is_floating_point() else expected.dtype  # the number of a class is whole in any case
    for name, tensor in (("the original", expected), ("the converted network", found)):
        if tensor.dtype != wanted:
            return f"{name} gives {tensor.dtype} for {wanted}"
        if not tensor.isfinite().all():
            return f"{name} gives NaN or infinity"
    if drop_ones(found).shape != drop_ones(expected).shape:
        return (
            f"expected shape {_format_shape(expected)} for each window, the converted network gives "
            f"{_format_shape(found)}"
        )
    return ""


def _format_shape(values: Tensor) -> tuple[int, ...]:
    return tuple(values.shape[1:])
