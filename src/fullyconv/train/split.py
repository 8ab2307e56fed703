"""Which crops train and which validate, and how often each is drawn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fullyconv.card import Preprocessing
from fullyconv.train.crops import CropSet


def split_crops(crops: CropSet, share: float, seed: int) -> tuple[CropSet, CropSet]:
    """Returns training and validation crops: of each class `share` validates, at least one, never all.

    The same seed gives the same split.
    """
    generator = np.random.default_rng(seed)
    chosen = [
        generator.permutation(np.flatnonzero(crops.labels == label))[: _count_validation(count, share)]
        for label, count in enumerate(crops.counts.values())
    ]
    validates = np.zeros(len(crops.labels), bool)
    validates[np.concatenate(chosen).astype(np.int64)] = True
    return crops.select(np.flatnonzero(~validates)), crops.select(np.flatnonzero(validates))


def weigh_crops(
    labels: NDArray[np.int64], background: int | None, background_share: float | None
) -> NDArray[np.float64]:
    """Returns how probable each crop is in a draw; the sum is 1.

    The classes share alike. The background can get a share of its own, because almost every window of a large
    image is background.

    Args:
        labels: int64 `(N,)`.
        background: the label of the background, or None.
        background_share: between 0 and 1, where there are crops of it and of others; None: like the others.
    """
    present, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shares = np.full(len(present), 1 / len(present))
    if background_share is not None and background in present and len(present) > 1:
        shares[:] = (1 - background_share) / (len(present) - 1)
        shares[present == background] = background_share
    weights: NDArray[np.float64] = (shares / counts)[inverse]
    return weights


def measure_preprocessing(crops: CropSet) -> Preprocessing:
    """Returns the preprocessing that gives these crops mean 0 and standard deviation 1 in each channel."""
    mean, std = np.array([_measure_values(crops.images[:, channel]) for channel in range(crops.images.shape[1])]).T
    return Preprocessing(
        scale=1 / 255,
        mean=tuple(round(float(value), 6) for value in mean),
        std=tuple(round(max(float(value), 1e-3), 6) for value in std),
        colour="grey" if crops.images.shape[1] == 1 else "rgb",
    )


def _measure_values(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    # By counting each of the 256 values, crop by crop: exact, and no float copy of all crops is made.
    counts = sum((np.bincount(crop.ravel(), minlength=256) for crop in pixels), np.zeros(256, np.int64))
    values = np.arange(256) / 255
    mean = float(counts @ values / counts.sum())
    return mean, float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum()))


def _count_validation(count: int, share: float) -> int:
    return min(max(round(count * share), 1), count - 1) if count else 0
