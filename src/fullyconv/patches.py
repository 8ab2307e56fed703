"""Operations of the graph that lay patches of a map out as columns, and add columns or kernels up to a map."""

from __future__ import annotations

from dataclasses import dataclass

from fullyconv.graph import Operation, Pair


@dataclass(frozen=True, slots=True)
class Patches(Operation):
    """Each place of a kernel becomes a column of the values that it covers.

    Inputs: x `(N, C, H, W)`. Output: `(N, C * kh * kw, places)`, places in row-major order.
    """

    kernel: Pair
    dilation: Pair
    padding: Pair
    stride: Pair


@dataclass(frozen=True, slots=True)
class Overlap(Operation):
    """The reverse: each column is added to the values that its place covers. Inputs: x `(N, C * kh * kw, places)`.

    Output: `(N, C, *size)`; what lies on padding is dropped.
    """

    patches: Patches
    size: Pair


@dataclass(frozen=True, slots=True)
class TransposedConv(Operation):
    """Each cell times the weights is added to the values that its place of the kernel covers.

    Inputs: x `(N, C, H, W)`, weight `(C, K/groups, kh, kw)`, bias `(K,)` or "". Output: `(N, K, *size)`.
    """

    patches: Patches
    size: Pair
    groups: int
