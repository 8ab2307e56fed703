"""The steps of the demo, each what a user does: train, convert, verify, detect; and the time it saves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from PIL import Image
from torch import nn

import fullyconv
from fullyconv.atomic import write_whole
from fullyconv.capture.pt2 import load_classifier
from fullyconv.demo.data import WINDOW, DemoData
from fullyconv.demo.result import Looked
from fullyconv.demo.timing import ThreeWays, compare_ways
from fullyconv.detect import DetectSettings, collect_detections, scan_pyramid
from fullyconv.errors import ModelError
from fullyconv.images import prepare, read_image, resize
from fullyconv.report.heat import combine_heat
from fullyconv.report.overlay import choose_picture_size, draw_overlay
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.train import Event, ScanDone, TrainConfig, TrainResult, train

MOST_WINDOWS = 15_000  # one by one, three times: about half a minute on a slow machine
SETTINGS = DetectSettings(scale_step=2 ** (1 / 3))


@dataclass(frozen=True, slots=True)
class Networks:
    """The classifier, and what it was converted to."""

    classifier: nn.Module
    dense: DenseModel


def train_faces(data: DemoData, output: Path, *, seed: int, say: Callable[[str], None]) -> TrainResult:
    """Trains on the crops, with rounds of negatives, and writes the classifier to `output`."""

    def hear(event: Event) -> None:
        if isinstance(event, ScanDone):
            say(f"  {event}")

    config = TrainConfig(
        crops=data.crops,
        window=WINDOW,
        output=output,
        negatives=data.negatives,
        positive="face",
        seed=seed,
        restart=True,
    )
    return train(config, hear)


def convert_faces(model: Path, output: Path) -> Networks:
    """Converts the classifier in `model`, writes the result to `output`, and returns what `output` holds."""
    classifier, card = load_classifier(model)
    fullyconv.convert(classifier, window=WINDOW, card=card).save(output)
    return Networks(classifier, fullyconv.load(output))


def verify_faces(networks: Networks, images: tuple[Path, ...]) -> tuple[tuple[str, float], ...]:
    """Returns what was compared with the largest error of each.

    Raises:
        ModelError: the converted network is not what the classifier is; that would be a bug.
    """
    report = fullyconv.verify(networks.dense, networks.classifier, images=images)
    if not report.passed:
        raise ModelError(f"the converted network differs from its classifier: {report}")
    return tuple(
        (f"{guarantee}, {dtype}", error)
        for guarantee, by_dtype in report.errors.items()
        for dtype, error in by_dtype.items()
    )


def look_at(photo: Path, dense: DenseModel, folder: Path, *, has_face: bool) -> Looked:
    """Searches a photo over scales and writes it with boxes and heat to `folder`."""
    image = read_image(photo)
    size = (image.shape[0], image.shape[1])
    start = time.perf_counter()
    levels = scan_pyramid(dense, image, SETTINGS)
    boxes = collect_detections(levels, dense.card, SETTINGS, image_size=size)
    seconds = time.perf_counter() - start
    heat = combine_heat(levels, [0], choose_picture_size(size))
    picture = folder / f"{photo.stem}.png"
    with write_whole(picture) as part:
        Image.fromarray(draw_overlay(image, boxes, heat=heat, classes=dense.card.classes)).save(part)
    windows = sum(level.score_map.scores[0].size for level in levels)
    return Looked(photo.stem, size, windows, seconds, boxes, has_face=has_face, picture=picture)


def time_faces(networks: Networks, photo: Path) -> ThreeWays:
    """Compares the three ways on `photo`, halved until one-by-one crops end in reasonable time."""
    pixels = read_image(photo)
    while prod(networks.dense.grid.shape((pixels.shape[0], pixels.shape[1]))) > MOST_WINDOWS:
        pixels = resize(pixels, (pixels.shape[0] // 2, pixels.shape[1] // 2))
    image = torch.from_numpy(prepare(pixels, networks.dense.card))[None]
    return compare_ways(networks.classifier, networks.dense.module, image, grid=networks.dense.grid, rounds=3)
