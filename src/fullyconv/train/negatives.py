"""Crops of background from large images that hold no object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullyconv.errors import DataError
from fullyconv.grid import Pair, format_size
from fullyconv.images import Image8, read_image
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

    Boxes that are larger than the window are averaged down just as the image is when it is scanned at that
    scale, so their edges take in a little of what lies around. Parts outside the image are left out.
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


def draw_negatives(images: Sequence[Path], window: Pair, count: int, seed: int) -> tuple[NegativeBox, ...]:
    """Returns `count` boxes at random places and scales of each image, for the time before the first scan.

    Raises:
        ImageError: an image cannot be read.
        DataError: an image is smaller than the window.
    """
    generator = np.random.default_rng(seed)
    drawn: list[NegativeBox] = []
    for index, path in enumerate(images):
        size = read_image(path).shape[:2]
        if size[0] < window[0] or size[1] < window[1]:
            raise DataError(
                f"{path}: expected an image of at least the window, {format_size(window)} pixels, to find "
                f"negatives in, got {format_size((size[0], size[1]))}; enlarge it or leave it out"
            )
        boxes = draw_boxes((size[0], size[1]), window, count, generator)
        drawn += [NegativeBox(index, box, 0) for box in boxes]
    return tuple(drawn)


def cut_negatives(
    images: Sequence[Path], boxes: Sequence[NegativeBox], window: Pair, channels: int
) -> NDArray[np.uint8]:
    """Returns the boxes as crops, in their order, uint8 `(N, channels, height, width)`.

    Raises:
        ImageError: an image cannot be read.
    """
    parts = [np.empty((0, channels, *window), np.uint8)]
    for index, group in groupby(boxes, key=lambda box: box.image):
        places = [box.box_xyxy for box in group]
        parts.append(cut_boxes(read_image(images[index]), places, window, channels))
    return np.concatenate(parts)
