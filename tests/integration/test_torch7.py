"""A Torch7 file on the command line: converted, verified, detected with; and files that are no such thing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from commands import PHOTOS
from fullyconv.cli import main
from torch7_layers import layer, lenet, linear, sequential, view
from torch7_writer import Function, write_t7

NETWORK = write_t7(lenet(view(-1), linear(90, 2), layer("SoftMax")))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.t7").write_bytes(NETWORK)
    return tmp_path


def test_from_a_t7_file_to_boxes(folder, capsys):
    assert main(["convert", "model.t7", "--window", "28x20", "-o", "dense.pt2", "--classes", "a,b"]) == 0
    assert main(["verify", "dense.pt2", "--against", "model.t7"]) == 0
    Image.fromarray(np.asarray(Image.open(PHOTOS / "page.png"))[:90, :120]).save("page.png")
    found = ["detect", "dense.pt2", "page.png", "-o", "found", "--scales", "1", "--threshold", "0"]
    assert main(found) == 0, capsys.readouterr().err
    record = json.loads((folder / "found" / "page.json").read_text())
    assert {detection["class"] for detection in record["detections"]} <= {"a", "b"}
    assert record["detections"]


def test_another_network_is_not_verified(folder):
    assert main(["convert", "model.t7", "--window", "28x20", "-o", "dense.pt2"]) == 0
    (folder / "other.t7").write_bytes(write_t7(lenet(view(-1), linear(90, 2), layer("SoftMax"))))
    assert main(["verify", "dense.pt2", "--against", "other.t7"]) == 1


BAD = {
    "truncated": (NETWORK[:2000], "expected a whole binary Torch7 file (.t7): byte"),
    "empty": (b"", "expected a whole binary Torch7 file (.t7): byte 0"),
    "no t7": (b"PK\x03\x04" + bytes(99), "expected a whole binary Torch7 file (.t7): byte 0: no type has the number"),
    "unknown class": (write_t7(sequential(layer("LookupTable"))), "layer 0 (nn.LookupTable): this class of layers"),
    "function": (write_t7(sequential(layer("Tanh", updateOutput=Function()))), "updateOutput is a Lua function"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_line(name, fails, tmp_path):
    content, message = BAD[name]
    (tmp_path / "bad.t7").write_bytes(content)
    fails("convert", "bad.t7", "--window", "28x20", "-o", "dense.pt2", message=message)


def test_a_wrong_window_or_none_is_one_line(fails, tmp_path):
    (tmp_path / "model.t7").write_bytes(NETWORK)
    fails("convert", "model.t7", "--window", "9x9", "-o", "dense.pt2", message="on a window of 9x9 pixels")
    fails("convert", "model.t7", "-o", "dense.pt2", message="does not say its window; give --window")
    weights = ("--weights", "weights.pt")
    fails("convert", "model.t7", *weights, "-o", "d.pt2", message="such a file holds its own weights; leave out")
