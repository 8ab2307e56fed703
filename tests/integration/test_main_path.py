"""The main job on the command line: train, convert, verify, inspect, detect."""

from __future__ import annotations

import json
import subprocess
import sys

from PIL import Image

from commands import PHOTOS, run_fullyconv


def test_training_says_what_it_made_and_what_comes_next(made):
    assert "25x25, 1 channel" in made.said["train"]
    assert "fullyconv convert" in made.said["train"]
    assert not list(made.model.parent.glob("*checkpoint*"))


def test_the_conversion_is_reported(made):
    assert "1: convolutional" in made.said["convert"]
    assert "image crops: every score equals the classifier on the pixels" in made.said["convert"]


def test_the_converted_network_passes(made):
    done = run_fullyconv("verify", made.dense, PHOTOS / "page.png", "--against", made.model)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("passed")
    assert "image crops" in done.stdout


def test_verify_fails_against_another_network(made, tmp_path):
    quick = ("--epochs", 1, "--fewest-batches", 1, "--seed", 7)
    other = tmp_path / "other.pt2"
    assert run_fullyconv("train", made.crops, "--window", "25x25", "-o", other, *quick).returncode == 0
    done = run_fullyconv("verify", made.dense, "--against", other, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["passed"] is False


def test_inspect_gives_json_alone(made):
    done = run_fullyconv("inspect", made.dense, "--image", "384x191", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    values = json.loads(done.stdout)
    assert values["card"]["classes"] == ["face"]
    assert values["card"]["background"] == "other"
    assert values["report"]["guarantee"] == "image crops"
    assert values["margins_px"] == [[0, 0], [0, 0]]
    height, width = values["grid"]["stride_px"]
    assert values["scores"] == [(191 - 25) // height + 1, (384 - 25) // width + 1]


def test_convert_gives_json_alone(made, tmp_path):
    done = run_fullyconv("convert", made.model, "--window", "25x25", "-o", tmp_path / "again.pt2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["grid"]["window_px"] == [25, 25]


def test_detect_writes_boxes_and_a_picture(made, tmp_path):
    photo = PHOTOS / "page.png"
    done = run_fullyconv("detect", made.dense, photo, "-o", tmp_path / "found", "--threshold", 0.01)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "found" / "page.json").read_text()
    assert '"score"' in text
    assert json.loads(text)
    with Image.open(tmp_path / "found" / "page.png") as picture, Image.open(photo) as original:
        assert picture.size == original.size


def test_a_factory_with_weights_does_the_same(tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\ndef make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 2, 8, 8), nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1))\n"
    )
    code = "import nets, torch; torch.manual_seed(0); torch.save(nets.make().state_dict(), 'weights.pt')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    source = ("nets:make", "--weights", "weights.pt")
    done = run_fullyconv("convert", *source, "--window", "32x64", "-o", "dense.pt2", "--classes", "a,b,c", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    checked = run_fullyconv("verify", "dense.pt2", "--against", *source, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
