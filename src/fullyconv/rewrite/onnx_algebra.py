"""Fragments in one tensor as ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from fullyconv.graph import Pair
from fullyconv.refine.algebra import Arithmetic
from fullyconv.rewrite.onnx_builder import TO_THE_END, OnnxBuilder

_NAMES = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "min": "Min", "max": "Max"}


@dataclass(frozen=True, slots=True)
class OnnxAlgebra:
    """Operations on values of a graph; see `Algebra`.

    Attributes:
        builder: where their nodes go.
    """

    builder: OnnxBuilder

    def size(self, x: ir.Value, axis: int) -> ir.Value:  # noqa: D102 - see Algebra
        return self.builder.add("Shape", [x], start=axis, end=axis + 1)

    def numbers(self, *numbers: int) -> ir.Value:  # noqa: D102 - see Algebra
        return self.builder.numbers(*numbers)

    def calculate(self, kind: Arithmetic, a: ir.Value, b: ir.Value) -> ir.Value:  # noqa: D102 - see Algebra
        return self.builder.add(_NAMES[kind], [a, b])

    def count_up(self, size: ir.Value) -> ir.Value:  # noqa: D102 - see Algebra
        end = self.builder.add("Squeeze", [size, self.builder.numbers(0)])
        return self.builder.add("Range", [self.builder.number(0), end, self.builder.number(1)])

    def join(self, parts: Sequence[ir.Value], axis: int) -> ir.Value:  # noqa: D102 - see Algebra
        return self.builder.add("Concat", parts, axis=axis) if len(parts) > 1 else parts[0]

    def reshape(self, x: ir.Value, sizes: Sequence[int | ir.Value]) -> ir.Value:  # noqa: D102 - see Algebra
        return self.builder.add("Reshape", [x, self.join([self._make(size) for size in sizes], 0)])

    def transpose(self, x: ir.Value, order: Sequence[int]) -> ir.Value:  # noqa: D102 - see Algebra
        return self.builder.add("Transpose", [x], perm=list(order))

    def cut(self, x: ir.Value, axis: int, start: int, stop: int | ir.Value | None = None) -> ir.Value:  # noqa: D102
        return self.builder.slice(x, [axis], [start], self._make(TO_THE_END if stop is None else stop))

    def extend(self, x: ir.Value, rank: int, axis: int, cells: int | ir.Value) -> ir.Value:  # noqa: D102 - see Algebra
        build = self.builder
        parts = [build.numbers(*[0] * (rank + axis)), self._make(cells)]
        parts += [build.numbers(*[0] * (rank - 1 - axis))] if axis < rank - 1 else []
        return build.add("Pad", [x, build.add("Concat", parts, axis=0)])

    def take(self, x: ir.Value, places: ir.Value) -> ir.Value:  # noqa: D102 - see Algebra
        return self.builder.add("Gather", [x, places], axis=0)

    def mark(self, counts: ir.Value, size: ir.Value) -> ir.Value:  # noqa: D102 - see Algebra
        build = self.builder
        return build.add("Less", [self.count_up(size), build.add("Unsqueeze", [counts, build.numbers(1)])])

    def mark_both(self, a: ir.Value, b: ir.Value) -> ir.Value:  # noqa: D102 - see Algebra
        return self.builder.add("And", [a, b])

    def choose(self, marks: ir.Value, x: ir.Value, other: float) -> ir.Value:  # noqa: D102 - see Algebra
        number = ir.tensor(np.array(other, np.float32), name="beyond")
        value = self.builder.add("CastLike", [self.builder.add_weight("beyond", number), x])
        return self.builder.add("Where", [marks, x, value])

    def cast(self, marks: ir.Value, like: ir.Value) -> ir.Value:  # noqa: D102 - see Algebra
        return self.builder.add("CastLike", [marks, like])

    def average(self, x: ir.Value, kernel: Pair, stride: Pair) -> ir.Value:  # noqa: D102 - see Algebra
        how: dict[str, Any] = {"kernel_shape": list(kernel), "strides": list(stride), "count_include_pad": 1}
        return self.builder.add("AveragePool", [x], **how)

    def pad(self, x: ir.Value, pads: tuple[Pair, Pair]) -> ir.Value:  # noqa: D102 - see Algebra
        (top, bottom), (left, right) = pads
        return self.builder.add("Pad", [x, self.builder.numbers(0, 0, top, left, 0, 0, bottom, right)])

    def _make(self, size: int | ir.Value) -> ir.Value:
        return self.builder.numbers(size) if isinstance(size, int) else size
