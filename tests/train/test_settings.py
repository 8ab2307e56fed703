from pathlib import Path

import pytest

from fullyconv.errors import OptionError
from fullyconv.train.settings import FitSettings, MiningSettings, TrainConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"round_epochs": 0}, "round_epochs: expected at least 1, got 0"),
        ({"patience": 0}, "patience: expected at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"fewest_batches": 0}, "fewest_batches: expected at least 1, got 0"),
        ({"learning_rate": 0}, "learning_rate: expected more than 0, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate: expected more than 0, got nan"),
        ({"weight_decay": -1}, "weight_decay: expected at least 0, got -1"),
        ({"label_smoothing": 1}, "label_smoothing: expected less than 1, got 1"),
    ],
)
def test_fit_settings_have_bounds(settings, message):
    with pytest.raises(OptionError, match=message):
        FitSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": -1}, "rounds: expected at least 0, got -1"),
        ({"random_crops": -1}, "random_crops: expected at least 0"),
        ({"most_boxes": 0}, "most_boxes: expected at least 1"),
        ({"threshold": 1.5}, "threshold: expected less than 1, got 1.5"),
        ({"largest_overlap": 0}, "largest_overlap: expected more than 0"),
        ({"mixed_share": 1.1}, "mixed_share: expected at most 1, got 1.1"),
        ({"background_share": 1}, "background_share: expected less than 1"),
    ],
)
def test_mining_settings_have_bounds(settings, message):
    with pytest.raises(OptionError, match=message):
        MiningSettings(**settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": (0, 8)}, r"window: expected \(height, width\) of at least 1 pixel, got \(0, 8\)"),
        ({"output": Path("model.pth")}, r"model.pth: expected a model file name that ends in .pt2"),
        ({"validation_share": 0}, "validation_share: expected more than 0"),
        ({"validation_share": 1}, "validation_share: expected less than 1"),
        ({"seed": -1}, "seed: expected at least 0"),
    ],
)
def test_a_run_has_bounds(changes, message):
    with pytest.raises(OptionError, match=message):
        TrainConfig(**{"crops": Path("crops"), "window": (8, 8), "output": Path("model.pt2")} | changes)
