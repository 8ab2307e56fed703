"""What a network's scores are called, how many there are, and of which number type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fullyconv.capture.module import read_device, read_dtype
from fullyconv.card import ModelCard
from fullyconv.errors import ModelError, OptionError
from fullyconv.scan.scorer import DenseScorer, select_output


def name_scores(card: ModelCard, outputs: int) -> tuple[str, ...]:
    """Returns a name for each of the network's scores: the card's classes, or `output 0` and so on.

    Raises:
        ModelError: the card names another number of classes.
    """
    if card.classes and len(card.classes) != outputs:
        raise ModelError(
            f"expected as many scores as the card names classes, {len(card.classes)}, got {outputs}; "
            "choose another output or convert the model with its own classes"
        )
    return card.classes or tuple(f"output {index}" for index in range(outputs))


def choose_classes(names: Sequence[str], card: ModelCard, classes: Sequence[str] | None) -> tuple[int, ...]:
    """Returns the positions of the classes asked for, never the background's; of all but that if None.

    Raises:
        OptionError: a class is not among them, or there is nothing but background.
    """
    known = [name for name in names if name != card.background]
    unknown = [name for name in classes or () if name not in known]
    if unknown or not known:
        listed = ", ".join(known) or "nothing but background"
        asked = ", ".join(map(repr, unknown)) or "any"
        raise OptionError(f"class {asked}: not one that the network detects; it has {listed}")
    wanted = known if classes is None else classes
    return tuple(index for index, name in enumerate(names) if name in wanted)


def measure_outputs(dense: DenseScorer, output: str | None = None) -> tuple[int, str]:
    """Returns how many scores a window has, and their number type in a score map: float32 or float64.

    Rule: one run on one window of zeros.

    Raises:
        OptionError: there is no output of that name.
        ModelError: what the network returned is not made of tensors.
    """
    dtype = read_dtype(dense.module)
    window = torch.zeros((1, dense.card.channels, *dense.grid.window_px), dtype=dtype, device=read_device(dense.module))
    with torch.inference_mode():
        scores = select_output(dense(window), output)
    return int(np.prod(scores.shape[1:-2])), "float64" if dtype == torch.float64 else "float32"
