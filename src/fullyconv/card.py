"""What a person must know to use a network rightly; saved inside every model file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from fullyconv.errors import ModelError, OptionError

Colour = Literal["rgb", "bgr", "grey"]
Activation = Literal["sigmoid", "softmax", "none"]
Border = Literal["image", "first-order", "window"]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How 8-bit pixel values become the network's input: `(value * scale - mean) / std`, channel by channel.

    Attributes:
        scale: factor for pixel values of 0 to 255.
        mean: one value a channel, in scaled units; one value serves all channels.
        std: one value a channel, in scaled units; one value serves all channels.
        colour: the order of the channels.
    """

    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    colour: Colour = "rgb"

    def __post_init__(self) -> None:
        if not self.mean or not self.std or min(self.std) <= 0:
            raise ModelError(
                f"preprocessing: expected means and positive standard deviations, got {self.mean} and {self.std}"
            )


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a network expects and what its outputs mean.

    Attributes:
        window: the crop size it was trained on, `(height, width)` in pixels.
        channels: channels of its input.
        classes: the name of each output, in order; empty where nobody said. A network that ends in one
            sigmoid unit has one: what the unit detects.
        background: the class that stands for "no object", or None; detection never reports it.
        activation: what the network's own last operation is.
        preprocessing: how pixels become its input.
        border: where a dense network sees its layers' padding: at the image's border; at the window's, to first
            order; or exactly at the window's. No difference for networks that do not pad.
    """

    window: tuple[int, int]
    channels: int
    classes: tuple[str, ...] = ()
    background: str | None = None
    activation: Activation = "none"
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    border: Border = "image"

    def __post_init__(self) -> None:
        if len(self.window) != 2 or min(self.window) < 1 or self.channels < 1:
            raise ModelError(f"card: expected a window and channels of at least 1, got {self}")
        for values in (self.preprocessing.mean, self.preprocessing.std):
            if len(values) not in (1, self.channels):
                raise ModelError(
                    f"card: expected 1 or {self.channels} preprocessing values for {self.channels} channels, "
                    f"got {len(values)}"
                )


def check_border(border: str) -> None:
    """Checks that there is such a border.

    Raises:
        OptionError: there is not.
    """
    if border not in get_args(Border):
        raise OptionError(f"border: expected one of {', '.join(get_args(Border))}, got {border!r}")
