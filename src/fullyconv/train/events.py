"""What training tells while it runs; each event is a value, printed by whoever listens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BatchDone:
    """A step is done: `done` of `total` in this round at most."""

    round_index: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An epoch is done.

    Attributes:
        round_index: 0 before the first scan of negatives.
        epoch: from 1 within the round.
        training_loss: mean over its batches, augmented and smoothed.
        validation_loss: on the validation crops, each class weighing as in training.
        validation_accuracy: share of the validation crops that are classified rightly, mean of the classes.
    """

    round_index: int
    epoch: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float

    def __str__(self) -> str:
        return (
            f"round {self.round_index}, epoch {self.epoch}: training loss {self.training_loss:.3f}, "
            f"validation loss {self.validation_loss:.3f}, validation accuracy {self.validation_accuracy:.1%}"
        )


@dataclass(frozen=True, slots=True)
class ScanDone:
    """The large images without objects were scanned.

    Attributes:
        round_index: from 1.
        images: how many were scanned.
        false_boxes: boxes above the threshold, all of them false.
        highest_score: of these; 0 where there were none.
        kept: how many joined the crops, the rest being known places or too many for one image.
    """

    round_index: int
    images: int
    false_boxes: int
    highest_score: float
    kept: int

    def __str__(self) -> str:
        highest = f", highest score {self.highest_score:.3f}" if self.false_boxes else ""
        return (
            f"round {self.round_index}: {self.false_boxes} false boxes in {self.images} images{highest}; "
            f"{self.kept} join the crops"
        )


@dataclass(frozen=True, slots=True)
class Note:
    """Something a person should know, in one line."""

    text: str

    def __str__(self) -> str:
        return self.text


Event = BatchDone | EpochDone | ScanDone | Note
Listener = Callable[[Event], None]


def ignore_event(event: Event) -> None:
    """Does nothing with an event."""


def write_event(event: EpochDone | ScanDone) -> dict[str, Any]:
    """Returns an event as plain values; `read_event` gives it back."""
    return {"kind": type(event).__name__, **asdict(event)}


def read_event(values: Mapping[str, Any]) -> EpochDone | ScanDone:
    """Returns the event that `write_event` wrote."""
    fields = {name: value for name, value in values.items() if name != "kind"}
    return EpochDone(**fields) if values["kind"] == "EpochDone" else ScanDone(**fields)
