"""Bad input: one clear line on stderr, exit code 2, nothing half-written; in a batch the others are still done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from onnx import helper
from PIL import Image
from torch import nn

import fullyconv
from commands import PHOTOS, run_fullyconv, write_crops
from fullyconv.card import ModelCard
from onnx_files import between, pooled

PAGE = PHOTOS / "page.png"


class Code:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


@pytest.fixture
def nets(tmp_path):
    """A module `nets` in the current directory whose factory makes a small network."""
    network = "nn.Sequential(nn.Conv2d(3, 2, 8, 8), nn.Flatten(), nn.Linear(2, 1))"
    (tmp_path / "nets.py").write_text(f"from torch import nn\n\ndef make():\n    return {network}\n")
    return nn.Sequential(nn.Conv2d(3, 2, 8, 8), nn.Flatten(), nn.Linear(2, 1)).state_dict()


@pytest.mark.parametrize("kind", ["no image", "truncated", "empty", "absent"])
def test_an_unreadable_image(made, fails, tmp_path, kind):
    image = tmp_path / "bad.png"
    if kind != "absent":
        content = {"no image": b"hello", "truncated": PAGE.read_bytes()[:9000], "empty": b""}[kind]
        image.write_bytes(content)
    fails("detect", made.dense, image, "-o", tmp_path / "found", message="bad.png")


def test_a_window_larger_than_the_image(made, fails, tmp_path):
    Image.new("L", (20, 20)).save(tmp_path / "small.png")
    message = "the image is smaller than the window: expected at least 25x25"
    fails("detect", made.dense, tmp_path / "small.png", "-o", tmp_path / "found", message=message)


def test_a_wrong_channel_count(fails, tmp_path):
    dense = tmp_path / "dense.pt2"
    card = ModelCard((8, 8), 5)
    fullyconv.convert(nn.Sequential(nn.Conv2d(5, 1, 8), nn.Flatten()), card=card).save(dense)
    fails("detect", dense, PAGE, "-o", tmp_path / "found", message="channel")


def test_a_window_that_the_network_cannot_take(nets, fails):
    fails("convert", "nets:make", "--window", "4x4", "-o", "dense.pt2", message="fullyconv: ")


def test_nan_weights(nets, fails, tmp_path):
    nets["2.bias"] = torch.tensor([torch.nan])
    torch.save(nets, tmp_path / "nan.pt")
    source = ("nets:make", "--weights", "nan.pt")
    fails("convert", *source, "--window", 8, "-o", "d.pt2", message="2.bias: expected finite weights, got NaN")


def test_a_pickle_with_code(nets, fails, tmp_path):
    torch.save({"weight": Code()}, tmp_path / "code.pt")
    source = ("nets:make", "--weights", "code.pt")
    fails("convert", *source, "--window", 8, "-o", "d.pt2", message="got code, objects or a damaged file")
    shutil.copy(tmp_path / "code.pt", tmp_path / "code.pt2")
    fails("convert", "code.pt2", "--window", 8, "-o", "d.pt2", message="code.pt2")
    assert not (tmp_path / "executed").exists()


def test_a_classifier_where_a_converted_network_is_expected(made, fails, tmp_path):
    fails("detect", made.model, PAGE, "-o", tmp_path / "found", message="convert it first")
    fails("inspect", made.model, message="convert it first")


def test_an_empty_crop_folder(fails, tmp_path):
    (tmp_path / "crops").mkdir()
    fails("train", tmp_path / "crops", "--window", 25, "-o", tmp_path / "m.pt2", message="crops")


def test_a_class_without_crops(fails, tmp_path):
    crops = write_crops(tmp_path / "crops")
    shutil.rmtree(crops / "face")
    (crops / "face").mkdir()
    fails("train", crops, "--window", 25, "-o", tmp_path / "m.pt2", message="face")


def test_one_class_only(fails, tmp_path):
    crops = write_crops(tmp_path / "crops")
    shutil.rmtree(crops / "other")
    fails("train", crops, "--window", 25, "-o", tmp_path / "m.pt2", message="class")


def test_a_crop_that_is_no_image(fails, tmp_path):
    crops = write_crops(tmp_path / "crops")
    (crops / "face" / "03.png").write_bytes(b"hello")
    fails("train", crops, "--window", 25, "-o", tmp_path / "m.pt2", message="03.png")


@pytest.mark.parametrize("command", ["train", "convert", "detect", "demo"])
def test_an_output_that_cannot_be_written(made, fails, tmp_path, command):
    (tmp_path / "file").write_text("not a folder")
    place = tmp_path / "file" / "below"
    arguments = {
        "train": (made.crops, "--window", 25, "-o", place / "m.pt2"),
        "convert": (made.model, "--window", 25, "-o", place / "d.pt2"),
        "detect": (made.dense, PAGE, "-o", place),
        "demo": ("-o", place),
    }[command]
    fails(command, *arguments, message="cannot be made a folder")


def test_the_good_images_of_a_batch_are_done(made, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(PAGE, folder / "a.png")
    (folder / "b.png").write_bytes(PAGE.read_bytes()[:9000])
    shutil.copy(PHOTOS / "text.png", folder / "c.png")
    done = run_fullyconv("detect", made.dense, folder, "-o", tmp_path / "found")
    assert done.returncode == 1
    assert "1 of 3 images could not be done" in done.stderr
    assert "b.png" in done.stderr
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["a.json", "a.png", "c.json", "c.png"]


def test_the_process_says_the_same(made, tmp_path):
    done = run_fullyconv("detect", made.dense, tmp_path / "absent.png", "-o", tmp_path / "found")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fullyconv: ")
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_no_onnx(fails, tmp_path):
    (tmp_path / "a.onnx").write_text("hello")
    fails("convert", "a.onnx", "-o", "dense.onnx", message="a.onnx: not a whole ONNX file")
    fails("convert", "absent.onnx", "-o", "dense.onnx", message="absent.onnx: expected an ONNX file, found none")
    fails("inspect", "a.onnx", message="a.onnx: not a whole ONNX file")
    fails("detect", "a.onnx", PAGE, "-o", tmp_path / "found", message="a.onnx: not a whole ONNX file")


def test_onnx_files_that_nothing_can_be_made_of(fails, tmp_path):
    whole = between(tmp_path / "whole.onnx", pooled("m"), 6)
    (tmp_path / "half.onnx").write_bytes(whole.read_bytes()[:500])
    fails("convert", "half.onnx", "-o", "dense.onnx", message="half.onnx: not a whole ONNX file")
    own = helper.make_node("Sharpen", ["m"], ["r"], domain="com.example")
    domains = [helper.make_opsetid("com.example", 1)]
    between(tmp_path / "own.onnx", [own, *pooled("r")], 6, domains=domains)
    fails("convert", "own.onnx", "-o", "dense.onnx", message="unknown operators com.example::Sharpen")
    between(tmp_path / "flat.onnx", pooled("m"), 6, shape=("n", 12))
    fails("convert", "flat.onnx", "-o", "dense.onnx", message="expected one image among its inputs")
    fails("convert", "whole.onnx", "-o", "dense.pt2", message="save it as .onnx")
    fails("inspect", "whole.onnx", message="convert it first")


def test_options_that_an_onnx_file_has_no_use_for(fails, tmp_path):
    between(tmp_path / "a.onnx", pooled("m"), 6)
    fails("convert", "a.onnx", "-o", "d.onnx", "--weights", "w.pt", message="an .onnx file holds its own weights")
    fails("convert", "a.onnx", "-o", "d.onnx", "--bind", "a", message="--bind: expected name=value with a number")
    fails("convert", "a.onnx", "-o", "d.onnx", "--bind", "a=1", message="has no input 'a' to bind")
    fails("convert", "nets:make", "-o", "d.onnx", "--bind", "a=1", message="--bind and --layout are for .onnx files")
    fails("tradeoff", "a.onnx", PAGE, message="expected the network in PyTorch")
