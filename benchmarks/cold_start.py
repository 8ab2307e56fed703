"""What a conversion takes in a process that has loaded nothing but the classifier.

Only what has not been loaded before is seen, so nothing of fullyconv is imported here at once.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import torch
from classifiers import Case, Classifier
from memory import watch_growth
from torch import nn


def measure_cold(case: Case) -> dict[str, Any]:
    """Returns the growth of a process that loads fullyconv and converts its first classifier.

    The classifier is there before, and has been run once; whether it is right says `try_case`.
    """
    classifier = case.make()
    run_on_windows(classifier, 1)
    with watch_growth() as growth:
        import fullyconv

        fullyconv.convert(classifier.module, classifier.window)
    return {"cold_bytes": growth.bytes}


def measure_libraries() -> int:
    """Returns the same for a tiny network in a process that has loaded torch alone."""
    made = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True)
    return int(made.stdout)


def load_libraries() -> None:
    """Converts a tiny network, so that all libraries that a conversion needs have been loaded and used."""
    import fullyconv

    classifier = make_tiny()
    fullyconv.convert(classifier.module, classifier.window)


def make_tiny() -> Classifier:
    """Returns a network that takes next to no memory."""
    layers = (nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Classifier(nn.Sequential(*layers).eval(), (9, 9))


def run_on_windows(classifier: Classifier, windows: int) -> None:
    """Runs a classifier on random windows, as many at a time."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(windows, classifier.channels, *classifier.window, generator=generator)
    with torch.no_grad():
        classifier.module.eval()(images)


if __name__ == "__main__":
    print(measure_cold(Case("", "tiny", make_tiny))["cold_bytes"])
