"""What a training run is asked to do: frozen, validated before any work."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fullyconv.errors import OptionError
from fullyconv.grid import Pair


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How the weights are found.

    Attributes:
        epochs: the most epochs of the first round; an epoch draws as many crops as there are, and at least
            `fewest_batches` batches.
        round_epochs: the most epochs of each later round, which starts from the weights of the one before.
        patience: epochs without a better validation loss after which a round ends.
        batch_size: crops in one step.
        fewest_batches: batches in an epoch at least, so that a small folder is learnt from as well.
        learning_rate: the highest of a round; it rises to it and falls again (one cycle).
        weight_decay: of AdamW.
        label_smoothing: 0 to 1; keeps scores apart that would all be 1, so that the best comes first.
        augment: change training crops at random.
        flip: mirror half of them, left to right; turn it off where mirrored objects are other objects.
    """

    epochs: int = 30
    round_epochs: int = 10
    patience: int = 10
    batch_size: int = 64
    fewest_batches: int = 10
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    augment: bool = True
    flip: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "round_epochs", "patience", "batch_size", "fewest_batches"):
            check_number(name, getattr(self, name), at_least=1)
        check_number("learning_rate", self.learning_rate, above=0)
        for name in ("weight_decay", "label_smoothing"):
            check_number(name, getattr(self, name), at_least=0)
        check_number("label_smoothing", self.label_smoothing, below=1)


@dataclass(frozen=True, slots=True)
class MiningSettings:
    """How negatives are found in large images that hold no object.

    Attributes:
        rounds: scans of the images; after each, training goes on with what was found.
        threshold: false boxes with at least this score join the crops.
        most_boxes: boxes an image and a round, the highest-scoring first.
        random_crops: crops at random places and scales, of each image, before the first round.
        largest_overlap: of a new box with an older one of the same image, as intersection over union; above
            it the box is the same place again.
        background_share: how much of a batch is background, between 0 and 1; without negatives all classes
            are drawn alike.
        mixed_share: how much of the background in a batch is mixed from two crops of it, 0 to 1; only with
            negatives.
    """

    rounds: int = 5
    threshold: float = 0.1
    most_boxes: int = 50
    random_crops: int = 100
    largest_overlap: float = 0.7
    background_share: float = 0.7
    mixed_share: float = 0.8

    def __post_init__(self) -> None:
        for name in ("rounds", "random_crops", "mixed_share"):
            check_number(name, getattr(self, name), at_least=0)
        check_number("mixed_share", self.mixed_share, at_most=1)
        check_number("most_boxes", self.most_boxes, at_least=1)
        for name in ("threshold", "largest_overlap", "background_share"):
            check_number(name, getattr(self, name), above=0)
            check_number(name, getattr(self, name), below=1)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run.

    Attributes:
        crops: a folder with one folder of crops for each class.
        window: the crop size, `(height, width)` in pixels; crops of other sizes are resized to it.
        output: the model file to write.
        network: a built-in network's name, or `module:factory`.
        negatives: large images, or folders of them, known to hold no object.
        positive: of two classes, the one to detect; None decides by their names.
        validation_share: of each class, how much checks instead of teaching.
        seed: the same seed, data and settings give the same weights on the same machine.
        restart: begin anew, whatever checkpoint there is.
        fit: how the weights are found.
        mining: how negatives are found.
    """

    crops: Path
    window: Pair
    output: Path
    network: str = "compact"
    negatives: tuple[Path, ...] = ()
    positive: str | None = None
    validation_share: float = 0.2
    seed: int = 0
    restart: bool = False
    fit: FitSettings = field(default_factory=FitSettings)
    mining: MiningSettings = field(default_factory=MiningSettings)

    def __post_init__(self) -> None:
        if len(self.window) != 2 or min(self.window) < 1:
            raise OptionError(f"window: expected (height, width) of at least 1 pixel, got {self.window}")
        if self.output.suffix != ".pt2":
            raise OptionError(f"{self.output}: expected a model file name that ends in .pt2; choose one with -o")
        check_number("validation_share", self.validation_share, above=0)
        check_number("validation_share", self.validation_share, below=1)
        check_number("seed", self.seed, at_least=0)


def check_number(
    name: str,
    value: float,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> None:
    """Passes a number within its bounds.

    Raises:
        OptionError: the number is outside them, or is not a number.
    """
    if at_least is not None and not value >= at_least:
        raise OptionError(f"{name}: expected at least {at_least:g}, got {value:g}")
    if at_most is not None and not value <= at_most:
        raise OptionError(f"{name}: expected at most {at_most:g}, got {value:g}")
    if above is not None and not value > above:
        raise OptionError(f"{name}: expected more than {above:g}, got {value:g}")
    if below is not None and not value < below:
        raise OptionError(f"{name}: expected less than {below:g}, got {value:g}")
