"""What a training run works on, decided before any weight moves: crops, negatives, meaning of the outputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fullyconv.atomic import make_folder
from fullyconv.card import ModelCard
from fullyconv.errors import OptionError, OutputError
from fullyconv.images import find_images
from fullyconv.train.checkpoint import CheckpointFile, describe_run
from fullyconv.train.crops import CropFolder, CropSet, list_crops, read_crops
from fullyconv.train.events import Listener, Note
from fullyconv.train.fitting import FitData
from fullyconv.train.labels import Labelling, decide_labelling
from fullyconv.train.negatives import NegativeBox, cut_negatives, draw_negatives
from fullyconv.train.settings import TrainConfig
from fullyconv.train.split import measure_preprocessing, split_crops


@dataclass(frozen=True, slots=True, eq=False)
class RunPlan:
    """Everything a run reads.

    Attributes:
        config: what was asked for.
        labelling: what the outputs mean.
        card: goes into the model file.
        training: crops of the folder that teach.
        validation: crops of the folder that check.
        images: large images without objects.
        drawn: places in them, drawn by chance, that are background from the start.
        checkpoint: where the run keeps its state.
    """

    config: TrainConfig
    labelling: Labelling
    card: ModelCard
    training: CropSet
    validation: CropSet
    images: tuple[Path, ...]
    drawn: tuple[NegativeBox, ...]
    checkpoint: CheckpointFile

    @property
    def rounds(self) -> int:
        """Scans of the negatives; each is followed by another round of training."""
        return self.config.mining.rounds if self.images else 0

    def gather_data(self, boxes: tuple[NegativeBox, ...]) -> FitData:
        """Returns the folder's crops and `boxes` as background; of each round's boxes a share validates."""
        training, validation = self.training, self.validation
        for index in sorted({box.round_index for box in boxes}):
            chosen = [box for box in boxes if box.round_index == index]
            cut = cut_negatives(self.images, chosen, self.card.window, self.card.channels)
            order = np.random.default_rng((self.config.seed, index)).permutation(len(cut))
            checks = round(len(cut) * self.config.validation_share)
            training = training.extend(cut[order[checks:]], self.labelling.background or "")
            validation = validation.extend(cut[order[:checks]], self.labelling.background or "")
        data = FitData(training, validation, self.labelling, self.card.preprocessing)
        if not self.images:
            return data
        mining = self.config.mining
        return replace(data, background_share=mining.background_share, mixed_share=mining.mixed_share)


def plan_run(config: TrainConfig, progress: Listener) -> RunPlan:
    """Reads and checks all that a run needs, and tells what it found.

    Raises:
        DataError: the crops or negatives do not hold what training needs.
        ImageError: a file cannot be read as an image.
        OptionError: a setting has no meaning for this data.
        OutputError: the model file cannot be written there.
    """
    folder = list_crops(config.crops, one_class_suffices=bool(config.negatives))
    labelling = _decide_labelling(config, folder)
    images = find_images(config.negatives) if config.negatives else ()
    _check_output(config.output)
    crops, resized = read_crops(folder, config.window)
    drawn = draw_negatives(images, config.window, config.mining.random_crops, config.seed)
    _tell_crops(crops, resized, progress)
    training, validation = split_crops(replace(crops, classes=labelling.classes), config.validation_share, config.seed)
    return RunPlan(
        config=config,
        labelling=labelling,
        card=_write_card(config, labelling, training),
        training=training,
        validation=validation,
        images=images,
        drawn=drawn,
        checkpoint=_place_checkpoint(config, folder, images),
    )


def _decide_labelling(config: TrainConfig, folder: CropFolder) -> Labelling:
    labelling = decide_labelling(folder.classes, positive=config.positive, with_negatives=bool(config.negatives))
    needs_random = labelling.background is not None and labelling.background not in folder.classes
    if needs_random and not config.mining.random_crops:
        raise OptionError(
            "random_crops: expected at least 1, because no folder of crops holds background, got 0; "
            "the first round needs some from the negatives"
        )
    return labelling


def _check_output(output: Path) -> None:
    if output.is_dir():
        raise OutputError(f"{output}: expected a file to write the model to, got a folder; choose another with -o")
    make_folder(output.parent)


def _tell_crops(crops: CropSet, resized: int, progress: Listener) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in crops.counts.items())
    colour = "grey" if crops.images.shape[1] == 1 else "colour"
    progress(Note(f"crops: {counts}, {colour}"))
    if resized:
        progress(Note(f"{resized} of {len(crops.labels)} crops were resized to the window"))


def _write_card(config: TrainConfig, labelling: Labelling, training: CropSet) -> ModelCard:
    return ModelCard(
        window=config.window,
        channels=training.images.shape[1],
        classes=labelling.output_classes,
        background=labelling.background,
        activation=labelling.activation,
        preprocessing=measure_preprocessing(training),
    )


def _place_checkpoint(config: TrainConfig, folder: CropFolder, images: tuple[Path, ...]) -> CheckpointFile:
    files = [path for paths in folder.files for path in paths]
    path = config.output.with_name(config.output.name + ".checkpoint")
    return CheckpointFile(path, describe_run(config, files, images))
