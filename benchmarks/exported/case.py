"""One ONNX file to convert: its name, and how it comes to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn


@dataclass(frozen=True, slots=True)
class Exported:
    """A file, made.

    Attributes:
        path: of the file.
        exporter: what wrote it, with its version.
        window: `(height, width)` in pixels, where the file does not say it.
        module: the same network in PyTorch, where it came from there.
        bind: values for inputs beside the image.
    """

    path: Path
    exporter: str
    window: tuple[int, int] | None = None
    module: nn.Module | None = None
    bind: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Export:
    """A row of the table; `make` writes the file into a folder, in the process that tries it."""

    suite: str
    name: str
    make: Callable[[Path], Exported] = field(repr=False, compare=False)

    @property
    def key(self) -> str:
        return f"{self.suite}/{self.name}"
