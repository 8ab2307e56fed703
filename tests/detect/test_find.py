"""A classifier that needs no training: it scores how well a window is a bright disc on a dark ground."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import fullyconv
from fullyconv import DenseModel
from fullyconv.card import Activation, ModelCard, Preprocessing
from fullyconv.detect import DetectSettings, collect_detections, find_detections, scan_pyramid
from fullyconv.errors import ImageError, ModelError, OptionError
from fullyconv.scan import ScoreMap

WINDOW = 16


def disc(size: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(y, x) <= radius


def build(classes: tuple[str, ...] = ("disc",), activation: Activation = "sigmoid") -> DenseModel:
    """Returns a correlation, on a grid of 2 pixels, with a disc of radius 5 in a ring; 6 is a perfect disc."""
    kernel = pool(disc(WINDOW, 5))
    kernel = kernel / kernel.sum() - (1 - kernel) / (1 - kernel).sum()
    weights = torch.from_numpy(30 * kernel / (kernel * pool(disc(WINDOW, 5))).sum()).reshape(1, 64)
    layer = nn.Linear(64, 2 if activation == "softmax" else 1)
    layer.weight.data[:] = weights * torch.tensor([[-0.5], [0.5]]) if activation == "softmax" else weights
    layer.bias.data[:] = torch.tensor([12.0, -12.0]) if activation == "softmax" else -24
    last = {"softmax": [nn.Softmax(dim=1)], "sigmoid": [nn.Sigmoid()], "none": []}[activation]
    model = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), layer, *last).eval()
    grey = Preprocessing(colour="grey")
    card = ModelCard((WINDOW, WINDOW), 1, classes, activation=activation, preprocessing=grey)
    return fullyconv.convert(model, window=(WINDOW, WINDOW), card=card)


def pool(mask: np.ndarray) -> np.ndarray:
    return mask.reshape(8, 2, 8, 2).mean(axis=(1, 3))


def draw(size: tuple[int, int], *discs: tuple[int, int, int]) -> np.ndarray:
    """Returns a picture with discs `(y, x, diameter of the window)` whose window begins at `(y, x)`."""
    image = np.zeros((*size, 1), np.uint8)
    for y, x, window in discs:
        image[y : y + window, x : x + window, 0][disc(window, 5 * window / WINDOW)] = 255
    return image


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_objects_of_three_sizes_where_they_are() -> None:
    truth = [(10, 20, 16), (20, 100, 32), (72, 24, 64)]
    settings = DetectSettings(scale_step=2, threshold=0.7)
    found = find_detections(build(), draw((160, 192), *truth), settings)
    assert len(found) == len(truth)
    for y, x, window in truth:
        match = min(found, key=lambda each: abs(each.box_xyxy[1] - y) + abs(each.box_xyxy[0] - x))
        np.testing.assert_allclose(match.box_xyxy, (x, y, x + window, y + window), atol=window / 8)
        assert match.scale == WINDOW / window
        assert match.class_name == "disc"
    assert list(found) == sorted(found, key=lambda each: -each.score)


def test_no_object_no_box() -> None:
    assert find_detections(build(), draw((60, 60)), DetectSettings()) == ()


def test_tiny_memory_changes_nothing() -> None:
    image = draw((90, 110), (10, 20, 16), (40, 50, 32))
    roomy = find_detections(build(), image, DetectSettings())
    tight = find_detections(build(), image, DetectSettings(memory_bytes=20_000))
    assert [(each.box_xyxy, each.class_name) for each in tight] == [(each.box_xyxy, each.class_name) for each in roomy]
    np.testing.assert_allclose([each.score for each in tight], [each.score for each in roomy], atol=1e-5)


def test_background_is_never_reported() -> None:
    dense = build(("ground", "disc"), "softmax")
    dense = replace(dense, card=replace(dense.card, background="ground"))
    found = find_detections(dense, draw((60, 60), (10, 20, 16)), DetectSettings(scales=(1.0,)))
    assert {each.class_name for each in found} == {"disc"}
    without = replace(dense, card=replace(dense.card, background=None))
    both = find_detections(without, draw((60, 60), (10, 20, 16)), DetectSettings(scales=(1.0,)))
    assert {each.class_name for each in both} == {"ground", "disc"}


def test_only_the_classes_asked_for() -> None:
    dense = build(("ground", "disc"), "softmax")
    image = draw((60, 60), (10, 20, 16))
    found = find_detections(dense, image, DetectSettings(classes=("disc",), scales=(1.0,)))
    assert {each.class_name for each in found} == {"disc"}


@pytest.mark.parametrize("asked", ["dice", "ground"])
def test_unknown_class_and_background_cannot_be_asked_for(asked: str) -> None:
    dense = build(("ground", "disc"), "softmax")
    dense = replace(dense, card=replace(dense.card, background="ground"))
    with pytest.raises(OptionError, match=f"class '{asked}': not one that the network detects; it has disc$"):
        find_detections(dense, draw((40, 40)), DetectSettings(classes=(asked,)))


def test_nothing_but_background() -> None:
    dense = build(("ground",))
    dense = replace(dense, card=replace(dense.card, background="ground"))
    with pytest.raises(OptionError, match=r"class any: .*nothing but background"):
        find_detections(dense, draw((40, 40)), DetectSettings())


def test_raw_scores_are_compared_as_they_are() -> None:
    dense = build((), "none")
    image = draw((60, 60), (10, 20, 16))
    found = find_detections(dense, image, DetectSettings(scales=(1.0,), threshold=5.9))
    assert [each.class_name for each in found] == ["output 0"]
    assert found[0].score == pytest.approx(6, abs=1e-4)  # (1 - 0.8) * 30
    assert find_detections(dense, image, DetectSettings(scales=(1.0,), threshold=6.1)) == ()


def test_classes_suppress_each_other_only_on_request() -> None:
    dense = build(("a", "b"), "softmax")
    levels = scan_pyramid(dense, draw((40, 40), (10, 10, 16)), DetectSettings(scales=(1.0,)))
    twice = np.repeat(levels[0].score_map.scores[1:], 2, axis=0)
    levels = (replace(levels[0], score_map=ScoreMap(twice, dense.grid, (40, 40))),)
    apart = collect_detections(levels, dense.card, DetectSettings(), image_size=(40, 40))
    assert [each.class_name for each in apart] == ["a", "b"]
    together = collect_detections(levels, dense.card, DetectSettings(nms_across_classes=True), image_size=(40, 40))
    assert [each.class_name for each in together] == ["a"]


def test_a_card_with_other_classes() -> None:
    with pytest.raises(ModelError, match="expected as many scores as the card names classes, 2, got 1"):
        find_detections(build(("a", "b")), draw((40, 40)), DetectSettings())


def test_image_smaller_than_the_window() -> None:
    with pytest.raises(ImageError, match="the image is smaller than the window"):
        find_detections(build(), draw((40, 15)), DetectSettings())


def test_progress_runs_over_all_scales() -> None:
    calls: list[tuple[int, int]] = []
    find_detections(
        build(), draw((64, 64)), DetectSettings(scale_step=2), lambda done, total: calls.append((done, total))
    )
    assert calls == [(625, 707), (706, 707), (707, 707)]  # 25x25, 9x9 and 1 cells
