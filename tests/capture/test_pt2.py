"""Files of torch.export are read without running what they carry."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import zoo
from fullyconv.capture.pt2 import load_classifier, save_classifier
from fullyconv.card import ModelCard
from fullyconv.errors import ModelError, OutputError

CARD = ModelCard((26, 38), 1, ("a", "b", "c", "d"))


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.trace,)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt2"
    save_classifier(zoo.build("plain"), CARD, path)
    return path


def tamper(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Rewrites the archive's members."""
    with zipfile.ZipFile(path) as archive:
        members = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)


def test_round_trip(saved: Path) -> None:
    module, card = load_classifier(saved)
    images = torch.randn(3, 1, 26, 38)
    torch.testing.assert_close(module(images), zoo.build("plain")(images), rtol=0, atol=0)
    assert card == CARD
    assert [path.name for path in saved.parent.iterdir()] == ["model.pt2"]


def test_a_rewritten_archive_still_loads(saved: Path) -> None:
    tamper(saved, lambda members: None)
    assert load_classifier(saved)[1] == CARD


def test_refuses_a_pickle_with_code(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "model.pt2"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(ModelError, match=r"expected a torch.export file \(.pt2\), got something else"):
        load_classifier(path)
    torch.save(Bomb(trace), path)
    with pytest.raises(
        ModelError, match=r"expected a torch.export file of torch 2.8 or newer, got what torch.save wrote; give the"
    ):
        load_classifier(path)
    assert not trace.exists()


def test_refuses_sample_inputs_with_code(saved: Path, tmp_path: Path) -> None:
    trace, bomb = tmp_path / "trace", tmp_path / "bomb.pt"
    torch.save(Bomb(trace), bomb)
    tamper(saved, lambda members: members.update({"data/sample_inputs/model.pt": bomb.read_bytes()}))
    with pytest.raises(ModelError, match="sample inputs are a pickle that carries code"):
        load_classifier(saved)
    assert not trace.exists()


def test_refuses_pickled_weights(saved: Path) -> None:
    def change(members: dict[str, bytes]) -> None:
        name = "data/weights/model_weights_config.json"
        config = json.loads(members[name])
        next(iter(config["config"].values()))["use_pickle"] = True
        members[name] = json.dumps(config).encode()

    tamper(saved, change)
    with pytest.raises(ModelError, match="is a pickle, which can carry code"):
        load_classifier(saved)


def test_refuses_objects(saved: Path) -> None:
    tamper(saved, lambda members: members.update({"data/constants/custom_obj_0": b"x"}))
    with pytest.raises(ModelError, match="refused, because the file carries code or objects"):
        load_classifier(saved)


@pytest.mark.parametrize(
    "expression", ["__import__('os').abort()", "exit()", "s0.__class__", "Symbol('s0', name=open)"]
)
def test_refuses_sizes_that_are_code(saved: Path, expression: str) -> None:
    def change(members: dict[str, bytes]) -> None:
        text = members["models/model.json"].decode()
        assert '"expr_str"' in text
        program = json.loads(text)

        def poison(value: object) -> None:
            if isinstance(value, dict):
                for key, inner in value.items():
                    if key == "expr_str":
                        value[key] = expression
                    poison(inner)
            elif isinstance(value, list):
                for inner in value:
                    poison(inner)

        poison(program)
        members["models/model.json"] = json.dumps(program).encode()

    tamper(saved, change)
    with pytest.raises(ModelError, match="is not plain arithmetic"):
        load_classifier(saved)


def test_refuses_truncated_files(saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="got something else or a truncated file"):
        load_classifier(saved)


def test_refuses_files_of_older_torch(tmp_path: Path) -> None:
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(ModelError, match=r"got an archive written by torch before 2\.8"):
        load_classifier(path)


def test_refuses_a_damaged_card(saved: Path) -> None:
    tamper(saved, lambda members: members.update({"extra/fullyconv_card.json": b'{"window": 3}'}))
    with pytest.raises(ModelError, match="the card inside is damaged"):
        load_classifier(saved)


def test_refuses_a_damaged_program(saved: Path) -> None:
    tamper(saved, lambda members: members.update({"models/model.json": b"{}"}))
    with pytest.raises(ModelError, match="cannot read this program"):
        load_classifier(saved)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        load_classifier(tmp_path / "none.pt2")


def test_nothing_is_left_when_writing_fails(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be made a folder"):
        save_classifier(zoo.build("plain"), CARD, saved / "below" / "model.pt2")
    shutil.rmtree(tmp_path / "none", ignore_errors=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]
