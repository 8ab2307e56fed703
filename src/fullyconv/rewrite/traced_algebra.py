"""Fragments in one tensor as torch operations that the tracing exporter follows at open sizes."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fullyconv.graph import Pair
from fullyconv.refine.algebra import Arithmetic

_ARITHMETIC: Mapping[Arithmetic, Callable[[Tensor, Tensor], Tensor]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "min": torch.minimum,
    "max": torch.maximum,
}


class TracedAlgebra:
    """Operations on tensors; see `Algebra`. Sizes are results, as the exporter traces them."""

    def size(self, x: Tensor, axis: int) -> Tensor:  # noqa: D102 - see Algebra
        return torch._shape_as_tensor(x)[axis : axis + 1]

    def numbers(self, *numbers: int) -> Tensor:  # noqa: D102 - see Algebra
        return torch.tensor(numbers)

    def calculate(self, kind: Arithmetic, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102 - see Algebra
        if kind == "div" and not a.is_floating_point():
            return torch.div(a, b, rounding_mode="floor")
        return _ARITHMETIC[kind](a, b)

    def count_up(self, size: Tensor) -> Tensor:  # noqa: D102 - see Algebra
        return torch.arange(size[0])  # type: ignore[call-overload,no-any-return]

    def join(self, parts: Sequence[Tensor], axis: int) -> Tensor:  # noqa: D102 - see Algebra
        return torch.cat(list(parts), axis)

    def reshape(self, x: Tensor, sizes: Sequence[int | Tensor]) -> Tensor:  # noqa: D102 - see Algebra
        return x.reshape([size if isinstance(size, int) else size[0] for size in sizes])  # type: ignore[misc]

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:  # noqa: D102 - see Algebra
        return x.permute(*order)

    def cut(self, x: Tensor, axis: int, start: int, stop: int | Tensor | None = None) -> Tensor:  # noqa: D102
        end = stop[0] if isinstance(stop, Tensor) else stop
        return x[(*[slice(None)] * axis, slice(start, end))]

    def extend(self, x: Tensor, rank: int, axis: int, cells: int | Tensor) -> Tensor:  # noqa: D102 - see Algebra
        more = cells if isinstance(cells, int) else cells[0]
        return F.pad(x, [*[0, 0] * (rank - 1 - axis), 0, more])  # type: ignore[list-item]

    def take(self, x: Tensor, places: Tensor) -> Tensor:  # noqa: D102 - see Algebra
        return x.index_select(0, places)

    def mark(self, counts: Tensor, size: Tensor) -> Tensor:  # noqa: D102 - see Algebra
        return self.count_up(size) < counts[:, None]

    def mark_both(self, a: Tensor, b: Tensor) -> Tensor:  # noqa: D102 - see Algebra
        return a & b

    def choose(self, marks: Tensor, x: Tensor, other: float) -> Tensor:  # noqa: D102 - see Algebra
        return torch.where(marks, x, torch.full((), other, dtype=x.dtype))

    def cast(self, marks: Tensor, like: Tensor) -> Tensor:  # noqa: D102 - see Algebra
        return marks.to(like.dtype)

    def average(self, x: Tensor, kernel: Pair, stride: Pair) -> Tensor:  # noqa: D102 - see Algebra
        return F.avg_pool2d(x, kernel, stride)

    def pad(self, x: Tensor, pads: tuple[Pair, Pair]) -> Tensor:  # noqa: D102 - see Algebra
        return F.pad(x, [*pads[1], *pads[0]])
