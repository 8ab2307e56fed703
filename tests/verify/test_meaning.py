"""What a distance means, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fullyconv.verify.fidelity import Fidelity
from fullyconv.verify.meaning import explain

MEASURED = Fidelity(
    "kind", "an image", (64, 128), 12, 0.5, 0.1, 0.95, 0.9, (0, 1, 2), (8, 4, 40, 20), "top right", 0.25,
    moved_px=8, moved_difference=0.05,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "2.0 times as far from crops as crops moved by 8 pixels are; peaks lie where crops have them"),
        ({"moved_difference": 0.2}, "nearer to crops than crops moved by 8 pixels are, 0.5 of that distance; read it"),
        ({"moved_px": 1, "moved_difference": 0.2}, "moved by 1 pixel are"),
        ({"correlation": 0.7}, "roughly where crops score high, not how high"),
        ({"correlation": 0.2}, "do not read it as a map of crop scores; border first-order comes nearer"),
        ({"moved_difference": None}, "for a heat map: peaks lie where crops have them"),
        ({"moved_difference": 0.0, "correlation": None}, "for a heat map: peaks lie where crops have them"),
    ],
)
def test_the_sentence_follows_the_figures(changes: dict[str, float], words: str) -> None:
    sentence = explain([replace(MEASURED, **changes)], "image")
    assert sentence is not None
    assert words in sentence


@pytest.mark.parametrize(
    ("cause", "advice"),
    [
        ("image", "border first-order comes nearer, border window gives the crops' own scores"),
        ("first-order", "border window gives"),
        ("approximation", "without the approximation"),
    ],
)
def test_the_advice_follows_the_cause(cause: str, advice: str) -> None:
    assert advice in str(explain([replace(MEASURED, correlation=0.3)], cause))


def test_images_count_by_their_windows() -> None:
    near = replace(MEASURED, cells=90, correlation=0.99)
    far = replace(MEASURED, cells=10, correlation=0.0)
    assert "roughly" in str(explain([near, far], "image"))
    assert "peaks lie where" in str(explain([near, replace(far, cells=1)], "image"))


def test_nothing_measured_has_no_meaning() -> None:
    assert explain([], "image") is None
    assert explain([replace(MEASURED, reference="the exact network")], "approximation") is None
