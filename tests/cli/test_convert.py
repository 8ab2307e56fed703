"""`fullyconv convert`, in this process: options reach the library, and the file is what was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import fullyconv
from fullyconv.capture.pt2 import save_classifier
from fullyconv.card import ModelCard, Preprocessing
from fullyconv.cli import main
from onnx_files import export


@pytest.fixture
def classifier(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Flatten(), nn.Linear(4 * 4 * 6, 2), nn.Softmax(1))
    card = ModelCard((8, 12), 3, ("cat", "none"), "none", "softmax", Preprocessing(mean=(0.5,)))
    save_classifier(network, card, tmp_path / "model.pt2")
    return "model.pt2"


def run(*arguments: object) -> fullyconv.DenseModel:
    assert main(["convert", *map(str, arguments), "-o", "dense.pt2"]) == 0
    return fullyconv.load("dense.pt2")


def test_the_window_and_the_card_come_from_the_file(classifier):
    card = run(classifier).card
    assert card == ModelCard((8, 12), 3, ("cat", "none"), "none", "softmax", Preprocessing(mean=(0.5,)))


def test_options_amend_the_card(classifier):
    card = run(classifier, "--classes", "dog,none", "--std", "0.1,0.2,0.3", "--colour", "bgr").card
    assert card.classes == ("dog", "none")
    assert card.preprocessing == Preprocessing(mean=(0.5,), std=(0.1, 0.2, 0.3), colour="bgr")


def test_options_reach_the_conversion(classifier, capsys):
    dense = run(classifier, "--stride", "4x6", "--border", "first-order")
    assert dense.grid.stride_px == (6, 4)
    assert dense.card.border == "first-order"
    assert "to first order" in capsys.readouterr().out
    assert run(classifier, "--windowed-from", "2").report.tier == 2
    assert main(["convert", classifier, "-o", "dense.pt2", "--approximate", "nonsense"]) == 2
    assert "expected all, or some of squeeze-excitation" in capsys.readouterr().err


def test_the_window_must_be_known(classifier, capsys, tmp_path):
    torch.export.save(torch.export.export(nn.Flatten(), (torch.zeros(1, 1, 4, 4),)), tmp_path / "plain.pt2")
    assert main(["convert", "plain.pt2", "-o", "dense.pt2"]) == 2
    assert "plain.pt2: does not say its window; give --window WIDTHxHEIGHT" in capsys.readouterr().err
    assert not (tmp_path / "dense.pt2").exists()


def test_approximations_are_reported_and_their_distance_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, 2, 1), nn.GroupNorm(2, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    save_classifier(nn.Sequential(*layers, nn.Linear(4, 2)), ModelCard((8, 12), 3), tmp_path / "model.pt2")
    assert run("model.pt2").report.tier == 2
    report = run("model.pt2", "--approximate", "spatial-norm,squeeze-excitation").report
    assert (report.tier, report.guarantee) == (3, "approximation")
    assert "normalises over a sliding window of 4 x 6 cells" in " ".join(capsys.readouterr().out.split())
    image = torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8)
    image[:, 15:] //= 4
    Image.fromarray(image.numpy()).save(tmp_path / "image.png")
    assert main(["verify", "dense.pt2", "image.png", "--against", "model.pt2"]) == 0
    lines = capsys.readouterr().out
    assert "equal on images of one window" in lines
    assert "distance from crops" in lines and "distance from the exact network" in lines


def test_what_cannot_be_saved_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "branching.py").write_text(
        "from torch import nn\n"
        "class Branching(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))\n"
    )
    before = set(tmp_path.rglob("*.py"))
    assert main(["convert", "branching:Branching", "--window", "8x8", "-o", "new/dense.pt2"]) == 2
    message = capsys.readouterr().err
    assert "new/dense.pt2: this network cannot be saved, because it runs the classifier's own code" in message
    assert "torch.export cannot follow the model" in message and message.count("\n") == 1
    assert not (tmp_path / "new").exists() and set(tmp_path.rglob("*.py")) == before


def test_an_onnx_file_all_the_way(tmp_path, monkeypatch, capsys):
    """Converted, inspected, verified and used for detection, without a word of PyTorch."""
    monkeypatch.chdir(tmp_path)
    export(
        nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Flatten(), nn.Linear(4 * 7 * 9, 2), nn.Softmax(1)), (16, 20), "a.onnx"
    )
    assert main(["convert", "a.onnx", "-o", "dense.onnx", "--classes", "cat,none", "--background", "none"]) == 0
    dense = fullyconv.load("dense.onnx")
    assert (dense.card.classes, dense.grid.window_px) == (("cat", "none"), (16, 20))
    assert main(["inspect", "dense.onnx", "--image", "40x30"]) == 0
    assert main(["verify", "dense.onnx", "--against", "a.onnx"]) == 0
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)).save("photo.png")
    assert main(["detect", "dense.onnx", "photo.png", "-o", "found", "--threshold", "0"]) == 0
    capsys.readouterr()
    assert (tmp_path / "found" / "photo.json").is_file()
