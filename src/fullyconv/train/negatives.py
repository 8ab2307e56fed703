"""Crops of background from large images that hold no object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullyconv.grid import Pair
from fullyconv.images import Image8
from fullyconv.train.crops import match_colour

FloatBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class NegativeBox:
    """A place in a large image that becomes a crop of background.

    Attributes:
        image: which of the images, from 0.
        box_xyxy: pixels of that image, half-open.
        round_index: the scan that found it; 0 for places drawn by chance.
    """

    image: int
    box_xyxy: FloatBox
    round_index: int


def draw_boxes(size: Pair, window: Pair, count: int, generator: np.random.Generator) -> list[FloatBox]:
    """Returns `count` boxes of the window's shape, at random places and scales of an image of `size`.

    The scales are spread evenly by their logarithm between the window itself and the largest box that fits;
    an image smaller than the window gives the largest.
    """
    largest = min(size[0] / window[0], size[1] / window[1])
    smallest = min(1.0, largest)
    boxes = []
    for scale in np.exp(generator.uniform(np.log(smallest), np.log(largest), count)):
        height, width = window[0] * scale, window[1] * scale
        y = generator.uniform(0, max(size[0] - height, 0))
        x = generator.uniform(0, max(size[1] - width, 0))
        boxes.append((float(x), float(y), float(x + width), float(y + height)))
    return boxes


def cut_boxes(image: Image8, boxes: Sequence[FloatBox], window: Pair, channels: int) -> NDArray[np.uint8]:
    """Returns the boxes of an image as crops at window size, uint8 `(N, channels, height, width)`.

    Boxes that are larger than the window are averaged down, as the image is when it is scanned at that scale;
    parts of a box outside the image are left out.
    """
    pixels = match_colour(image, channels)
    picture = Image.fromarray(pixels if channels == 3 else pixels[:, :, 0])
    crops = np.empty((len(boxes), *window, channels), np.uint8)
    for place, (x0, y0, x1, y1) in zip(crops, boxes, strict=True):
        box = (max(x0, 0), max(y0, 0), min(x1, picture.width), min(y1, picture.height))
        crop = picture.resize((window[1], window[0]), Image.Resampling.BILINEAR, box=box)
        place[:] = np.asarray(crop).reshape(*window, channels)
    return crops.transpose(0, 3, 1, 2)


def measure_overlap(box: FloatBox, other: FloatBox) -> float:
    """Returns the intersection over union of two boxes.

    >>> measure_overlap((0, 0, 2, 2), (1, 0, 3, 2)) == 2 / 6
    True
    """
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    area, other_area = ((one[2] - one[0]) * (one[3] - one[1]) for one in (box, other))
    return width * height / (area + other_area - width * height)


def choose_new(
    found: Iterable[FloatBox], known: Sequence[FloatBox], *, most: int, largest_overlap: float
) -> list[FloatBox]:
    """Returns at most `most` of `found`, in their order, that are not the same place as a known one.

    The same place: an intersection over union above `largest_overlap`, with a known box or one chosen before.
    """
    chosen: list[FloatBox] = []
    for box in found:
        if len(chosen) == most:
            break
        if all(measure_overlap(box, other) <= largest_overlap for other in (*known, *chosen)):
            chosen.append(box)
    return chosen
