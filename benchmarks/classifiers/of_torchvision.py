"""All of torchvision's classifiers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from classifiers.case import Case, Classifier
from classifiers.stubs import import_torchvision

SUITE = "torchvision"

# Smaller than what they were trained on where the network allows it: the same operations in less time.
_WINDOW = (128, 128)
_OWN_WINDOWS = {"inception_v3": (299, 299), "maxvit_t": (224, 224)}
_FIXED = ("vit_",)  # their position tables belong to one size

_OPTIONS: dict[str, dict[str, Any]] = {
    # drawing truncated normals takes minutes, and all weights are drawn anew anyway
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
}


def list_cases() -> Iterator[Case]:
    """Yields every classifier that torchvision registers."""
    models = import_torchvision().models
    for name in models.list_models(module=models):
        yield Case(SUITE, name, partial(make, name))


def make(name: str) -> Classifier:
    """Returns a network with the weights that torchvision draws."""
    models = import_torchvision().models
    default = (224, 224) if name.startswith(_FIXED) else _WINDOW
    window = _OWN_WINDOWS.get(name, default)
    return Classifier(models.get_model(name, weights=None, **_OPTIONS.get(name, {})), window)
