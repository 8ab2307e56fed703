"""`--runtime`, `--precision`, `--device` and `--max-error` of the commands that run networks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import fullyconv
from fullyconv.cli import main
from zoo import ZOO, build


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    window = ZOO["plain"].window
    program = torch.export.export(build("plain"), (torch.randn(2, 1, *window),))
    torch.export.save(program, folder / "model.pt2")
    dense = fullyconv.convert(build("plain"), window)
    dense.save(folder / "dense.pt2")
    dense.save(folder / "dense.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 70), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")
    return folder


def detect(files, tmp_path, *options: str, dense: str = "dense.pt2") -> int:
    threshold = ("--threshold", "-9", "--scales", "1")
    return main(
        ["detect", str(files / dense), str(files / "image.png"), "-o", str(tmp_path / "out"), *threshold, *options]
    )


def read_scores(tmp_path) -> list[float]:
    return [each["score"] for each in json.loads((tmp_path / "out" / "image.json").read_text())["detections"]]


def test_nothing_asked_for_is_nothing_said(files, tmp_path, capsys):
    assert detect(files, tmp_path) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime", "torch-channels-last"])
def test_detections_are_the_same_on_every_runtime(files, tmp_path, capsys, runtime):
    assert detect(files, tmp_path) == 0
    expected = read_scores(tmp_path)
    assert detect(files, tmp_path, "--runtime", runtime) == 0
    assert expected
    assert read_scores(tmp_path) == pytest.approx(expected, abs=1e-5)
    assert capsys.readouterr().err.startswith(f"fullyconv: runtime: {runtime}, as asked for; logits within ")


def test_auto_says_in_one_line_what_it_chose(files, tmp_path, capsys):
    assert detect(files, tmp_path, "--runtime", "auto") == 0
    said = capsys.readouterr().err
    assert said.startswith("fullyconv: runtime: torch, because all there is to do takes about ")
    assert said.count("\n") == 1


def test_fast_alone_means_auto(files, tmp_path, capsys):
    assert detect(files, tmp_path, "--precision", "fast") == 0
    assert "because all there is to do takes about" in capsys.readouterr().err


@pytest.mark.parametrize(("dense", "library"), [("dense.pt2", "torch"), ("dense.onnx", "onnxruntime")])
def test_a_device_alone_leaves_the_library(files, tmp_path, capsys, dense, library):
    assert detect(files, tmp_path, "--device", "cpu", dense=dense) == 0
    assert capsys.readouterr().err == f"fullyconv: runtime: {library}, as asked for\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "cuda:7"], "device cuda:7: this machine has"),
        (["--device", "gpu"], "device 'gpu': expected cpu, cuda or cuda:N"),
        (["--runtime", "tensorrt"], "runtime 'tensorrt': expected auto or one of torch"),
        (["--runtime", "openvino-bfloat16"], "needs precision fast, got exact"),
        (["--precision", "half"], "--precision"),
        (["--max-error", "0"], "max_error: expected a number above 0"),
        (["--runtime", "torch-bfloat16", "--precision", "fast", "--max-error", "1e-9"], "allowed are 1e-09"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_exit_code_2(files, tmp_path, capsys, options, message):
    assert detect(files, tmp_path, *options) == 2
    said = capsys.readouterr().err
    assert said.startswith("fullyconv: ")
    assert said.count("\n") == 1
    assert message in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dense", ["dense.pt2", "dense.onnx"])
def test_verify_checks_the_runtime(files, capsys, dense):
    against = ("--against", str(files / "model.pt2"))
    assert main(["verify", str(files / dense), *against, "--runtime", "openvino"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("passed (promised: image crops; float32 on openvino; seed 0)")
    assert shown.err.startswith("fullyconv: runtime: openvino, as asked for; logits within ")
    assert main(["verify", str(files / dense), *against, "--runtime", "openvino", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runtime"] == "float32 on openvino"
