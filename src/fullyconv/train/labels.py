"""What the outputs of a network mean: which class is the object, which the background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fullyconv.errors import DataError, OptionError

BACKGROUND = "background"
BACKGROUND_NAMES = frozenset(
    {BACKGROUND, "bg", "negative", "negatives", "neg", "other", "others", "none", "no", "nothing", "empty"}
)
BACKGROUND_PREFIXES = ("no-", "no_", "no ", "non-", "non_", "not-", "not_", "not ")


@dataclass(frozen=True, slots=True)
class Labelling:
    """How class names become outputs.

    Attributes:
        classes: the name of each label of the crops, in order.
        positive: the class that one sigmoid unit detects, or None: then softmax, one output a class.
        background: the class that stands for "no object", or None.
    """

    classes: tuple[str, ...]
    positive: str | None
    background: str | None

    @property
    def activation(self) -> Literal["sigmoid", "softmax"]:
        """What the saved network ends in."""
        return "softmax" if self.positive is None else "sigmoid"

    @property
    def background_target(self) -> int | None:
        """The target of background crops, or None where no class is background."""
        if self.background is None:
            return None
        return 0 if self.positive is not None else self.classes.index(self.background)

    @property
    def output_classes(self) -> tuple[str, ...]:
        """The name of each output, in order."""
        return self.classes if self.positive is None else (self.positive,)

    def encode(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns the target of each label: for softmax its index; for sigmoid 1 for the object, else 0."""
        if self.positive is None:
            return labels
        hits: NDArray[np.bool_] = labels == self.classes.index(self.positive)
        return hits.astype(np.int64)


def decide_labelling(names: Sequence[str], *, positive: str | None = None, with_negatives: bool = False) -> Labelling:
    """Returns what the outputs mean for crops of the classes `names`.

    - One class, and large images without objects: one sigmoid unit; the background comes from the images.
    - Two classes: one sigmoid unit. The object is `positive`; else the class whose name is not one of
      background, negative, other, none, no-something ...; else the first by alphabet.
    - Two classes that are both objects, and images without objects: like three.
    - Three and more: softmax. The background is the class with such a name; if there is none, images without
      objects bring one, named "background".

    Raises:
        OptionError: `positive` is no class, or there are more than two.
        DataError: the only class is a background.
    """
    names = tuple(names)
    if positive is not None and positive not in names:
        raise OptionError(f"--positive: expected one of {', '.join(names)}, got {positive!r}")
    if positive is not None and len(names) > 2:
        raise OptionError(f"--positive: expected one or two classes, got {len(names)}; leave it out")
    backgrounds = [name for name in names if is_background(name)]
    if len(names) == 1:
        return _label_one(names[0], backgrounds)
    if len(names) == 2 and (positive or backgrounds or not with_negatives):
        return _label_two(names, positive, backgrounds)
    if not backgrounds and with_negatives:
        return Labelling((*names, BACKGROUND), None, BACKGROUND)
    return Labelling(names, None, backgrounds[0] if backgrounds else None)


def is_background(name: str) -> bool:
    """Returns whether a class of that name stands for "no object".

    >>> [is_background(name) for name in ("Others", "no_face", "nose")]
    [True, True, False]
    """
    name = name.lower()
    return name in BACKGROUND_NAMES or name.startswith(BACKGROUND_PREFIXES)


def _label_one(name: str, backgrounds: list[str]) -> Labelling:
    if backgrounds:
        raise DataError(f"expected crops of an object, found only the background class {name!r}; add a class folder")
    return Labelling((name, BACKGROUND), name, BACKGROUND)


def _label_two(names: tuple[str, ...], positive: str | None, backgrounds: list[str]) -> Labelling:
    if positive is None:
        objects = [name for name in names if name not in backgrounds]
        positive = min(objects or names)
    (other,) = (name for name in names if name != positive)
    return Labelling(names, positive, other)
