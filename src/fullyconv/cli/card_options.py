"""Options that say what a model file without a card does not: classes, and how pixels become input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cyclopts import Parameter

from fullyconv.card import Colour, ModelCard, Preprocessing
from fullyconv.errors import OptionError


@Parameter(name="*")
@dataclass(frozen=True)
class CardOptions:
    """What to put on the card; what is not given stays as the source says it.

    Attributes:
        classes: names of the outputs in order, with commas: face,other.
        background: the class that stands for "no object".
        mean: subtracted after scaling, one value or one a channel, with commas: 0.485,0.456,0.406.
        std: divided by after that, in the same way.
        scale: factor for pixel values of 0 to 255; 1/255 if nobody says otherwise.
        colour: the order of the channels.
    """

    classes: str | None = None
    background: str | None = None
    mean: str | None = None
    std: str | None = None
    scale: float | None = None
    colour: Colour | None = None

    def amend(self, card: ModelCard) -> ModelCard:
        """Returns `card` with what was given in place of what it said.

        Raises:
            OptionError: numbers are not numbers, or the background is none of the classes.
            ModelError: the number of values does not suit the channels.
        """
        classes = card.classes if self.classes is None else tuple(split_list(self.classes))
        background = card.background if self.background is None else self.background
        if self.background is not None and len(classes) > 1 and background not in classes:
            raise OptionError(f"--background: expected one of {', '.join(classes)}, got {background}")
        amended = replace(card, classes=classes, background=background)
        return replace(amended, preprocessing=self._amend_preprocessing(card.preprocessing))

    def _amend_preprocessing(self, preprocessing: Preprocessing) -> Preprocessing:
        return Preprocessing(
            scale=preprocessing.scale if self.scale is None else self.scale,
            mean=preprocessing.mean if self.mean is None else _parse_numbers(self.mean, "--mean"),
            std=preprocessing.std if self.std is None else _parse_numbers(self.std, "--std"),
            colour=preprocessing.colour if self.colour is None else self.colour,
        )


def split_list(text: str) -> Sequence[str]:
    """Returns the parts of a list with commas, without spaces around them and without empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse_numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in split_list(text))
    except ValueError:
        raise OptionError(f"{option}: expected numbers with commas, such as 0.5,0.5,0.5, got {text!r}") from None
