from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fullyconv.capture.pt2 import load_classifier
from fullyconv.errors import DataError, ImageError, OptionError, OutputError
from fullyconv.train import EpochDone, FitSettings, MiningSettings, Note, ScanDone, TrainConfig, train
from fullyconv.train.events import BatchDone

FIT = FitSettings(epochs=3, round_epochs=2, batch_size=16, fewest_batches=3, learning_rate=0.01)
MINING = MiningSettings(rounds=2, random_crops=8, most_boxes=6)


def write_crops(folder, names, count=12):
    generator = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(80, 160, (12, 12), dtype=np.uint8)
            pixels[4:8, 4:8] = {"spot": 255, "hole": 0}.get(name, pixels[4:8, 4:8])
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


@pytest.fixture
def config(tmp_path):
    write_crops(tmp_path / "crops", ["other", "spot"])
    return TrainConfig(tmp_path / "crops", (12, 12), tmp_path / "out" / "model.pt2", fit=FIT)


@pytest.fixture
def negatives(tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    generator = np.random.default_rng(1)
    for index in range(2):
        Image.fromarray(generator.integers(0, 256, (50, 60), dtype=np.uint8)).save(folder / f"{index}.png")
    return (folder,)


def test_a_model_file_is_written_with_its_card(config):
    result = train(config)
    assert result.path == config.output and list(config.output.parent.iterdir()) == [config.output]
    network, card = load_classifier(config.output)
    assert card == result.card
    assert (card.window, card.channels, card.classes, card.background) == ((12, 12), 1, ("spot",), "other")
    assert (card.activation, card.preprocessing.colour) == ("sigmoid", "grey")
    scores = network(torch.randn(5, 1, 12, 12) * 30)
    assert scores.shape == (5, 1) and scores.min() >= 0 and scores.max() <= 1
    assert result.validation_accuracy > 0.7
    assert [event.epoch for event in result.history] == [1, 2, 3]


def test_the_saved_network_tells_the_classes_apart(config):
    network, card = load_classifier(train(config).path)
    folder = config.crops
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.rglob("*.png"))])
    means, deviations = card.preprocessing.mean, card.preprocessing.std
    images = torch.from_numpy((pixels / 255 - means[0]) / deviations[0]).float()[:, None]
    scores = network(images)[:, 0]
    assert ((scores > 0.5) == torch.tensor([False] * 12 + [True] * 12)).float().mean() > 0.8


def test_three_classes_end_in_softmax(config, tmp_path):
    write_crops(tmp_path / "crops", ["hole"])
    card = train(config).card
    assert card.classes == ("hole", "other", "spot") and card.activation == "softmax"
    assert card.background == "other"


def test_negatives_alone_are_background_for_one_class(config, negatives, tmp_path):
    write_crops(tmp_path / "one", ["spot"])
    config = replace(config, crops=tmp_path / "one", negatives=negatives, mining=replace(MINING, rounds=1))
    result = train(config)
    assert (result.card.classes, result.card.background) == (("spot",), "background")


def test_each_scan_is_followed_by_a_round(config, negatives):
    heard = []
    result = train(replace(config, negatives=negatives, mining=MINING), heard.append)
    scans = [event for event in result.history if isinstance(event, ScanDone)]
    assert [scan.round_index for scan in scans] == [1, 2] and all(scan.images == 2 for scan in scans)
    rounds = [event.round_index for event in result.history if isinstance(event, EpochDone)]
    assert rounds == [0, 0, 0, 1, 1, 2, 2]
    assert [event for event in heard if isinstance(event, EpochDone | ScanDone)] == list(result.history)


class Stop:
    """Interrupts at the given batch, as a person at the keyboard may."""

    def __init__(self, round_index, batch):
        self.at = (round_index, batch)

    def __call__(self, event):
        if isinstance(event, BatchDone) and (event.round_index, event.done) == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("round_index", "batch"), [(0, 5), (1, 1), (2, 6)])
def test_an_interrupted_run_ends_with_the_same_weights(config, negatives, round_index, batch):
    config = replace(config, negatives=negatives, mining=MINING)
    whole = train(config)
    expected = load_classifier(whole.path)[0].state_dict()
    whole.path.unlink()
    with pytest.raises(KeyboardInterrupt):
        train(config, Stop(round_index, batch))
    assert [path.name for path in config.output.parent.iterdir()] == ["model.pt2.checkpoint"]
    heard = []
    again = train(config, heard.append)
    assert any(isinstance(event, Note) and "going on after round" in event.text for event in heard)
    assert replace(again, card=whole.card) == whole and again.card == whole.card
    for name, value in load_classifier(again.path)[0].state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert [path.name for path in config.output.parent.iterdir()] == ["model.pt2"]


def test_a_checkpoint_of_other_settings_is_refused_unless_restarted(config):
    with pytest.raises(KeyboardInterrupt):
        train(config, Stop(0, 5))
    other = replace(config, seed=1)
    with pytest.raises(OptionError, match="of a training with other seed"):
        train(other)
    assert train(replace(other, restart=True)).path.exists()


def test_notes_tell_what_was_found(config):
    for path in list((config.crops / "spot").iterdir())[:2]:
        Image.open(path).resize((20, 20)).save(path)
    heard = []
    train(config, heard.append)
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert notes == ["crops: 12 other, 12 spot, grey", "2 of 24 crops were resized to the window"]


def test_an_unreadable_crop_stops_before_any_work(config):
    (config.crops / "spot" / "3.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match=r"3\.png"):
        train(config)
    assert not config.output.exists()


def test_a_negative_that_is_too_small_stops_before_any_work(config, negatives):
    Image.new("L", (60, 8)).save(negatives[0] / "flat.png")
    with pytest.raises(DataError, match=r"flat\.png: expected an image of at least the window"):
        train(replace(config, negatives=negatives))


def test_one_class_needs_random_crops(config, negatives, tmp_path):
    write_crops(tmp_path / "one", ["spot"])
    mining = replace(MINING, random_crops=0)
    with pytest.raises(OptionError, match="random_crops: expected at least 1, because no folder of crops holds"):
        train(replace(config, crops=tmp_path / "one", negatives=negatives, mining=mining))


def test_the_output_must_be_writable(config, tmp_path):
    with pytest.raises(OutputError, match="expected a file to write the model to, got a folder"):
        folder = tmp_path / "folder.pt2"
        folder.mkdir()
        train(replace(config, output=folder))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be made a folder"):
        train(replace(config, output=tmp_path / "file" / "model.pt2"))
