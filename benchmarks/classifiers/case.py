"""One classifier to convert: its name, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn


@dataclass(frozen=True, slots=True)
class Classifier:
    """A classifier, made; `window` is `(height, width)` in pixels."""

    module: nn.Module
    window: tuple[int, int]
    channels: int = 3


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the table; nothing is built before `make` is called, in the process that tries it."""

    suite: str
    name: str
    make: Callable[[], Classifier] = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        return f"{self.suite}/{self.name}"
