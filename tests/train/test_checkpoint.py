from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fullyconv.errors import OptionError
from fullyconv.train.checkpoint import CheckpointFile, describe_run, digest_files
from fullyconv.train.settings import FitSettings, TrainConfig


@pytest.fixture
def file(tmp_path):
    return CheckpointFile(tmp_path / "model.pt2.checkpoint", {"seed": "1", "crops": "abc"})


def test_what_was_saved_is_loaded_until_it_is_removed(file):
    assert file.load() is None
    file.save({"round_index": 2, "states": {"weights": torch.ones(3)}})
    file.save({"round_index": 3, "states": {"weights": torch.zeros(3)}})
    content = file.load()
    assert content["round_index"] == 3 and content["states"]["weights"].tolist() == [0, 0, 0]
    assert list(file.path.parent.iterdir()) == [file.path]
    file.remove()
    file.remove()
    assert file.load() is None


def test_another_training_is_named_by_what_differs(file):
    file.save({"round_index": 0})
    other = CheckpointFile(file.path, {"seed": "2", "crops": "abc", "window": "[8, 8]"})
    with pytest.raises(OptionError, match=r"of a training with other seed, window; .* --restart"):
        other.load()


def test_a_damaged_file_is_refused(file):
    file.path.write_bytes(b"PK damaged")
    with pytest.raises(OptionError, match="got another or a damaged file; pass --restart"):
        file.load()


def test_a_file_of_something_else_is_refused(file):
    torch.save({"weights": torch.ones(2)}, file.path)
    with pytest.raises(OptionError, match="expected a checkpoint of fullyconv train"):
        file.load()


class Payload:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def test_code_in_a_file_is_not_run(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"description": Payload()}, file.path)
    with pytest.raises(OptionError, match="damaged"):
        file.load()
    assert not Path("executed").exists()


def test_a_run_is_described_by_what_its_weights_depend_on(tmp_path):
    picture = tmp_path / "cat" / "1.png"
    picture.parent.mkdir()
    picture.write_bytes(b"1")
    config = TrainConfig(tmp_path, (8, 9), tmp_path / "model.pt2")
    described = describe_run(config, [picture], [])
    assert describe_run(replace(config, restart=True, output=Path("b.pt2")), [picture], []) == described
    changed = describe_run(replace(config, seed=1, fit=FitSettings(epochs=3)), [picture], [picture])
    assert {name for name in described if described[name] != changed[name]} == {"seed", "epochs", "negatives"}


def test_a_digest_goes_by_class_name_and_content(tmp_path):
    paths = [tmp_path / "a" / "cat" / "1.png", tmp_path / "b" / "cat" / "1.png", tmp_path / "b" / "dog" / "1.png"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    first, copied, other_class = (digest_files([path]) for path in paths)
    assert first == copied != other_class
    paths[0].write_bytes(b"2")
    assert digest_files(paths[:1]) != first
