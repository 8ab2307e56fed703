"""The weights of the dense network from those of the classifier, computed in float64, for any framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fullyconv.analyze.plan import AffineFold, Layout, ShiftedBias, Weight
from fullyconv.graph import ChannelAffine, Pair, Pointwise, Shape

Floats = NDArray[np.float64]
Read = Callable[[str], NDArray[np.generic]]


# A block of filters is computed in float64 at a time. The first fully connected layer may be most of a network, and in
# float64 as a whole, before and after, it took four times its own memory.
_BLOCK_VALUES = 2**17


def make_weight(weight: Weight, read: Read) -> NDArray[np.generic]:
    """Returns a weight of the dense network: re-ordered, scales and adaptive pooling folded in, in its own precision.

    Args:
        weight: how it is made.
        read: gives a constant of the classifier by name, in its own precision.
    """
    source = read(weight.source)
    if not weight.is_computed:
        return lay_out(_take_columns(weight, source), weight.layout)
    made = np.empty(measure_kernel(weight, source.shape), source.dtype)
    for start, filters in make_filters(weight, read):
        made[start : start + len(filters)] = filters
    return made


def make_filters(weight: Weight, read: Read) -> Iterator[tuple[int, Floats]]:
    """Yields a computed weight in blocks of filters `(k, C, kh, kw)` in float64, each with the place of its first.

    Args:
        weight: how it is made.
        read: gives a constant of the classifier by name, in its own precision, or a wider one.
    """
    scale = _compose(weight.affine, read)[0]
    for start, filters in _cut_filters(weight, read):
        scaled = filters * scale if weight.affine else filters
        yield start, _fold_bins(scaled, weight.bins) if weight.bins else scaled


def measure_kernel(weight: Weight, source: Shape) -> Shape:
    """Returns the shape `(K, C, kh, kw)` of a computed weight, from that of its constant."""
    shape = _find_shape(weight, source)
    if weight.bins:
        return (*shape[:2], weight.bins[0][1], weight.bins[1][1])
    return (*shape[:2], 1, 1) if weight.layout and weight.layout.first_cell else shape


def make_shifted_bias(bias: ShiftedBias, read: Read) -> Floats:
    """Returns `bias + W . shift` `(K,)`, where the shifts of folded operations come before the layer `W`."""
    shift = _compose(bias.weight.affine, read)[1]
    sums = [
        cast(Floats, np.einsum("kcyx,cyx->k", filters, np.broadcast_to(shift, filters.shape[1:])))
        for _, filters in _cut_filters(bias.weight, read)
    ]
    folded: Floats = np.concatenate(sums)
    return folded + read(bias.bias).astype(np.float64) if bias.bias else folded


def _cut_filters(weight: Weight, read: Read) -> Iterator[tuple[int, Floats]]:
    """Yields the values of a weight in the order of the dense kernel, in blocks of filters in float64."""
    values, layout = _take_columns(weight, read(weight.source)), weight.layout
    if layout is not None:
        values = np.broadcast_to(values.reshape(layout.view).transpose(layout.order), layout.full)
        if layout.full[0] != layout.shape[0]:  # filters on several axes
            values = values.reshape(layout.shape)
    filters, *rest = values.shape if layout is None else layout.shape
    count = max(1, _BLOCK_VALUES // max(1, prod(rest)))
    for start in range(0, filters, count):
        block = values[start : start + count]
        block = block.reshape(len(block), *rest)
        yield start, (block[..., :1, :1] if layout and layout.first_cell else block).astype(np.float64)


def _fold_bins(filters: Floats, bins: tuple[Pair, Pair]) -> Floats:
    """Returns the kernel `Ay' . W . Ax` of filters `W`, because score = W . (Ay . map . Ax')."""
    rows, columns = (make_bins(number, cells) for number, cells in bins)
    taps = np.ascontiguousarray(filters.transpose(2, 3, 0, 1))
    made = np.zeros((rows.shape[1], columns.shape[1], *filters.shape[:2]))
    for row, y in np.argwhere(rows):  # a cell is in few bins
        for column, x in np.argwhere(columns):
            made[y, x] += taps[row, column] * rows[row, y] * columns[column, x]
    return made.transpose(2, 3, 0, 1)


def make_bins(bins: int, cells: int) -> Floats:
    """Returns adaptive average pooling of one axis as a matrix `(bins, cells)`.

    Bin `i` averages cells from `floor(i * cells / bins)` up to and without `ceil((i + 1) * cells / bins)`,
    as torch.nn.AdaptiveAvgPool2d does.

    >>> make_bins(2, 3)
    array([[0.5, 0.5, 0. ],
           [0. , 0.5, 0.5]])
    """
    matrix = np.zeros((bins, cells))
    for i in range(bins):
        start, stop = find_bin(i, bins, cells)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def find_bin(place: int, bins: int, cells: int) -> tuple[int, int]:
    """Returns the half-open range of cells of one bin of an adaptive pooling."""
    return place * cells // bins, -(-(place + 1) * cells // bins)


def lay_out(values: NDArray[np.generic], layout: Layout | None) -> NDArray[np.generic]:
    """Returns the values in another order."""
    return values if layout is None else layout.arrange(values)


def _find_shape(weight: Weight, source: Shape) -> Shape:
    """Returns the shape that a weight is brought to before anything is folded into it."""
    if weight.layout is not None:
        return weight.layout.shape
    columns = weight.columns or (0, source[1])
    return (source[0], columns[1] - columns[0], *source[2:])


def _take_columns(weight: Weight, values: NDArray[np.generic]) -> NDArray[np.generic]:
    return values if weight.columns is None else values[:, slice(*weight.columns)]


def _compose(folds: tuple[AffineFold, ...], read: Read) -> tuple[Floats, Floats]:
    """Returns scale and shift `(C, fh, fw)` of several affine operations, one after the other."""
    scale, shift = np.ones((1, 1, 1)), np.zeros((1, 1, 1))
    for fold in folds:
        a, b = _read_affine(fold, read)
        scale, shift = scale * a, shift * a + b
    return scale, shift


def _read_affine(fold: AffineFold, read: Read) -> tuple[Floats, Floats]:
    """Returns scale and shift of one operation."""
    constants = [lay_out(read(name), fold.layout).astype(np.float64) if name else None for name in fold.constants]
    if isinstance(fold.op, ChannelAffine):
        mean, variance, weight, bias = constants
        assert mean is not None and variance is not None  # without statistics it is no ChannelAffine
        scale = (1.0 if weight is None else weight) / np.sqrt(variance + fold.op.eps)
        return scale, (0.0 if bias is None else bias) - mean * scale
    assert isinstance(fold.op, Pointwise)  # the rules fold nothing else
    value = constants[0] if constants else np.array(fold.op.scalars[0])
    assert value is not None  # only batch normalisation has inputs that may be missing
    zero, one = np.zeros((1, 1, 1)), np.ones((1, 1, 1))
    forms = {"add": (one, value), "sub": (one, -value), "mul": (value, zero), "div": (1 / value, zero)}
    return forms[fold.op.name]
