"""`fullyconv tradeoff` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from fullyconv.capture.pt2 import save_classifier
from fullyconv.card import ModelCard
from fullyconv.cli import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    model, image = tmp_path / "model.pt2", tmp_path / "photo.png"
    save_classifier(zoo.build("resnet"), ModelCard((32, 48), 3), model)
    pixels = np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(image)
    return model, image


def test_prints_a_table_and_draws_a_picture(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    model, image = files
    chart = model.with_name("chart.png")
    assert main(["tradeoff", str(model), str(image), "--splits", "3", "-o", str(chart)]) == 0
    printed = capsys.readouterr().out
    assert "products" in printed and "image" in printed and "(latest)" in printed
    with Image.open(chart) as picture:
        assert picture.size == (900, 560)


def test_json(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    model, image = files
    assert main(["tradeoff", str(model), str(image), "--splits", "2", "--json"]) == 0
    points = json.loads(capsys.readouterr().out)
    assert [point["windowed_from"] for point in points] == ["image", None]


def test_needs_a_window(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    model, image = files
    torch.export.save(torch.export.export(zoo.build("resnet"), (torch.zeros(2, 3, 32, 48),)), model)
    assert main(["tradeoff", str(model), str(image)]) == 2
    assert "does not say its window" in capsys.readouterr().err
