"""What `fullyconv detect` does with one image: search it, and write what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fullyconv.atomic import write_whole
from fullyconv.detect import (
    Detection,
    DetectSettings,
    ScoredLevel,
    collect_detections,
    scan_pyramid,
)
from fullyconv.detect.record import format_record
from fullyconv.errors import OptionError
from fullyconv.images import Image8, read_image
from fullyconv.report.heat import combine_heat, normalise_heat
from fullyconv.report.overlay import choose_picture_size, draw_overlay
from fullyconv.scan import DenseScorer, Progress, choose_classes, name_scores


@dataclass(frozen=True, slots=True)
class Search:
    """What all images of a batch have in common.

    Attributes:
        model: where the network was read from.
        dense: the network.
        settings: how to look.
        pictures: whether to draw.
    """

    model: Path
    dense: DenseScorer
    settings: DetectSettings
    pictures: bool

    def check_classes(self) -> None:
        """Checks, before any image is read, that the network has the classes that were asked for.

        Raises:
            OptionError: it has not.
        """
        if self.dense.card.classes:
            choose_classes(self.dense.card.classes, self.dense.card, self.settings.classes)

    def run(self, path: Path, target: Path, progress: Progress) -> tuple[Detection, ...]:
        """Searches the image at `path`; writes `target` with .json and .png added; returns what was found.

        Raises:
            ImageError: the image cannot be read, or does not suit the network.
            OutputError: the results cannot be written.
        """
        image = read_image(path)
        size = (image.shape[0], image.shape[1])
        levels = scan_pyramid(self.dense, image, self.settings, progress)
        found = collect_detections(levels, self.dense.card, self.settings, image_size=size)
        if self.pictures:
            self._write_picture(image, levels, found, _add_suffix(target, ".png"))
        record = format_record(found, self.settings, image=(path, size), model=(self.model, self.dense))
        with write_whole(_add_suffix(target, ".json")) as part:
            part.write_text(record, encoding="utf-8")
        return found

    def _write_picture(
        self, image: Image8, levels: Sequence[ScoredLevel], found: Sequence[Detection], target: Path
    ) -> None:
        card = self.dense.card
        names = name_scores(card, len(levels[0].score_map.scores))
        heat = combine_heat(
            levels, choose_classes(names, card, self.settings.classes), choose_picture_size(image.shape[:2])
        )
        if card.activation == "none":
            heat = normalise_heat(heat)
        picture = draw_overlay(image, found, heat=heat, classes=names)
        with write_whole(target) as part:
            Image.fromarray(np.ascontiguousarray(picture)).save(part, optimize=False)


def choose_targets(images: Sequence[Path], output: Path) -> tuple[Path, ...]:
    """Returns the path of each image's results, without suffix: the image's name, numbered where two agree.

    >>> [path.name for path in choose_targets([Path("a/cat.png"), Path("b/Cat.jpg")], Path("out"))]
    ['cat', 'Cat-2']

    Raises:
        OptionError: a result would overwrite one of the images.
    """
    taken: set[str] = set()
    targets = tuple(output / _choose_name(image.stem, taken) for image in images)
    inputs = {image.resolve() for image in images}
    for target in targets:
        for result in (_add_suffix(target, ".png"), _add_suffix(target, ".json")):
            if result.resolve() in inputs:
                raise OptionError(
                    f"{result}: expected a folder apart from the images, got one in which a result would "
                    "overwrite this image; choose another with -o"
                )
    return targets


def _choose_name(stem: str, taken: set[str]) -> str:
    name, number = stem, 2
    while name.casefold() in taken:  # some file systems hold a.png and A.png for one name
        name, number = f"{stem}-{number}", number + 1
    taken.add(name.casefold())
    return name


def _add_suffix(target: Path, suffix: str) -> Path:
    return target.with_name(target.name + suffix)
