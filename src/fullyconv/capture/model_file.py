"""A classifier in a file, whatever wrote it: torch.export's `.pt2` or Torch7's `.t7`."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from fullyconv.capture.pt2 import load_classifier
from fullyconv.capture.torch7 import load_torch7
from fullyconv.card import ModelCard

__all__ = ["MODEL_SUFFIXES", "load_model_file"]

MODEL_SUFFIXES = (".pt2", ".t7")


def load_model_file(path: Path) -> tuple[nn.Module, ModelCard | None]:
    """Returns the network of a `.t7` file, or of a `.pt2` file with its card where fullyconv wrote one.

    No code that a file carries is run. The ending of the name says which kind it is; without one it is a `.pt2`.

    Raises:
        ModelError: there is no such file, it is of another kind, it is damaged, or it carries code.
    """
    if path.suffix.lower() == ".t7":
        return load_torch7(path), None
    return load_classifier(path)
