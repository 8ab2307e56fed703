"""A picture of a scan at any size: the image, the heat of its scores over it, and boxes with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fullyconv.atomic import write_whole
from fullyconv.detect import Detection
from fullyconv.errors import OptionError
from fullyconv.export.scores import ScoreReader, read_hottest
from fullyconv.grid import Pair
from fullyconv.images import Image8
from fullyconv.images.source import Source
from fullyconv.images.stored import Bands
from fullyconv.images.thumbnail import read_thumbnail
from fullyconv.report.heat import combine_heat, normalise_heat
from fullyconv.report.overlay import draw_boxes, draw_heat, show_rgb
from fullyconv.scan.placement import Placement


@dataclass(frozen=True, slots=True)
class ShownScores:
    """Which scores become heat.

    Attributes:
        levels: all scores, then coarser ones; see `fullyconv.export.scores.read_hottest`.
        placement: where they lie.
        outputs: which of them count: the classes that are shown.
        is_raw: whether they are raw scores, to be brought to 0 to 1 by the least and the most that is shown.
    """

    levels: tuple[ScoreReader, ...]
    placement: Placement
    outputs: tuple[int, ...]
    is_raw: bool = False


def choose_size(image_size: Pair, longest_px: int) -> Pair:
    """Returns `(height, width)` of a picture whose longer side has `longest_px`, or the image's own where it is less.

    >>> choose_size((50_000, 100_000), 2048), choose_size((300, 200), 2048)
    ((1024, 2048), (300, 200))

    Raises:
        OptionError: it is not at least one pixel.
    """
    if longest_px < 1:
        raise OptionError(f"size: expected at least 1 pixel for the longer side of the picture, got {longest_px}")
    shrink = min(1.0, longest_px / max(image_size))
    return max(1, round(image_size[0] * shrink)), max(1, round(image_size[1] * shrink))


def draw_scan(
    source: Source,
    scores: ShownScores,
    detections: Sequence[Detection],
    *,
    size: Pair,
    classes: Sequence[str] = (),
    bands: Bands | None = None,
) -> Image8:
    """Returns the picture, uint8 RGB `(height, width, 3)`; neither image nor scores are ever whole in memory.

    Args:
        source: the image.
        scores: what becomes heat.
        detections: highest score first, in pixels of level 0.
        size: `(height, width)`, at most the image's.
        classes: all classes, so that each keeps its colour from picture to picture.
        bands: those that were chosen when the image was opened, if any were.

    Raises:
        OptionError: the picture would be larger than the image.
        ImageError: the image cannot be read.
    """
    picture = show_rgb(read_thumbnail(source, size, bands=bands))
    hottest = read_hottest(scores.levels, scores.placement, scores.outputs, size)
    heat = combine_heat([hottest], (0,), size)
    if scores.is_raw:
        heat = normalise_heat(heat)
    return draw_boxes(draw_heat(picture, heat), detections, image_size=source.levels[0].size, classes=classes)


def write_picture(path: Path, picture: Image8) -> None:
    """Writes a picture as PNG; it appears whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with write_whole(path) as part:
        Image.fromarray(np.ascontiguousarray(picture)).save(part, format="PNG")
