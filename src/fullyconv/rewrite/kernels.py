"""The weights of the dense network from those of the classifier, in float64, for any framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from fullyconv.analyze.plan import AffineFold, Layout, ShiftedBias, Weight
from fullyconv.graph import ChannelAffine, Pointwise

Floats = NDArray[np.float64]
Read = Callable[[str], NDArray[np.generic]]


def make_weight(weight: Weight, read: Read) -> NDArray[np.generic]:
    """Returns a weight of the dense network: re-ordered, scales and adaptive pooling folded in.

    Args:
        weight: how it is made.
        read: gives a constant of the classifier by name.
    """
    values = lay_out(_take_columns(weight, read), weight.layout)
    if weight.affine:
        values = cast(Floats, values) * _compose(weight.affine, read)[0]
    if weight.bins:
        # score = W . (Ay . map . Ax'), so the kernel is Ay' . W . Ax
        rows, columns = (make_bins(bins, cells) for bins, cells in weight.bins)
        values = np.einsum("kcij,iy,jx->kcyx", cast(Floats, values), rows, columns)
    return values


def make_shifted_bias(bias: ShiftedBias, read: Read) -> Floats:
    """Returns `bias + W . shift` `(K,)`, where the shifts of folded operations come before the layer `W`."""
    plain = cast(Floats, lay_out(_take_columns(bias.weight, read), bias.weight.layout))
    shift = np.broadcast_to(_compose(bias.weight.affine, read)[1], plain.shape[1:])
    folded = cast(Floats, np.einsum("kcyx,cyx->k", plain, shift))
    return folded + cast(Floats, read(bias.bias)) if bias.bias else folded


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


def _take_columns(weight: Weight, read: Read) -> NDArray[np.generic]:
    values = read(weight.source)
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
    constants = [cast(Floats, lay_out(read(name), fold.layout)) if name else None for name in fold.constants]
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
