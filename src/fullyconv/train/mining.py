"""Hard negatives: false boxes of the converted network in large images known to hold no object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from math import sqrt
from pathlib import Path

from torch import nn

from fullyconv.card import ModelCard
from fullyconv.grid import Pair
from fullyconv.images import Image8, read_image
from fullyconv.train.events import ScanDone
from fullyconv.train.negatives import FloatBox, NegativeBox, choose_new
from fullyconv.train.networks import append_activation
from fullyconv.train.settings import MiningSettings


@dataclass(frozen=True, slots=True)
class FalseBox:
    """A box that a scan reports where there is no object: pixels of the image, half-open, and its score."""

    box_xyxy: FloatBox
    score: float


Scanner = Callable[[Image8], Sequence[FalseBox]]

SCALE_STEP = sqrt(2)
# The golden section spreads the phases of any number of rounds about evenly.
PHASE_STEP = (3 - sqrt(5)) / 2


def make_scanner(network: nn.Module, card: ModelCard, threshold: float, round_index: int) -> Scanner:
    """Returns a function that scans an image over scales with the converted network, highest scores first.

    Args:
        network: from normalised `(N, C, H, W)` to logits; it is not changed.
        card: what the network's outputs mean.
        threshold: boxes with at least this score are reported.
        round_index: from 1; each round looks at scales between those of the others, and so finds other windows.
    """
    from fullyconv.detect import DetectSettings, find_detections
    from fullyconv.rewrite import convert

    dense = convert(append_activation(network, card.activation), window=card.window, card=card)

    def scan(image: Image8) -> list[FalseBox]:
        scales = choose_scales((image.shape[0], image.shape[1]), card.window, round_index)
        found = find_detections(dense, image, DetectSettings(scales=scales, threshold=threshold))
        boxes = [FalseBox(detection.box_xyxy, detection.score) for detection in found]
        return sorted(boxes, key=lambda box: -box.score)

    return scan


def choose_scales(size: Pair, window: Pair, round_index: int) -> tuple[float, ...]:
    """Returns the factors by which an image of `size` (height, width) is scaled, in steps of the root of 2.

    The first round starts at 1; later ones start in between. There is always one at which the window fits.

    >>> [round(scale, 2) for scale in choose_scales((100, 100), (25, 25), 1)]
    [1.0, 0.71, 0.5, 0.35, 0.25]
    """
    smallest = max(window[0] / size[0], window[1] / size[1])
    phase = (round_index - 1) * PHASE_STEP % 1
    scales = (SCALE_STEP ** -(phase + power) for power in count())
    # An image is scaled to whole pixels, so the very last scale may come out a rounding error too small.
    return tuple(takewhile(lambda scale: scale >= smallest * (1 - 1e-9), scales)) or (1.0,)


def mine(
    scanner: Scanner,
    images: Sequence[Path],
    known: Sequence[NegativeBox],
    settings: MiningSettings,
    *,
    round_index: int,
) -> tuple[tuple[NegativeBox, ...], ScanDone]:
    """Scans every image; returns the false boxes at places not known yet, and how the scan went.

    Args:
        scanner: gives the false boxes of an image, highest scores first.
        images: hold no object.
        known: places that are crops already.
        settings: how many to keep, and how much they may overlap.
        round_index: which scan this is, from 1.

    Raises:
        ImageError: an image cannot be read.
    """
    kept: list[NegativeBox] = []
    scores: list[float] = []
    for index, path in enumerate(images):
        found = scanner(read_image(path))
        scores += [box.score for box in found]
        new = choose_new(
            [box.box_xyxy for box in found],
            [box.box_xyxy for box in known if box.image == index],
            most=settings.most_boxes,
            largest_overlap=settings.largest_overlap,
        )
        kept += [NegativeBox(index, box, round_index) for box in new]
    return tuple(kept), ScanDone(round_index, len(images), len(scores), max(scores, default=0.0), len(kept))
