"""The demo's inputs: real files of scikit-image, dealt out fairly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from fullyconv.demo import data
from fullyconv.demo.data import prepare_data
from fullyconv.errors import MissingExtraError, OutputError


def test_crops_are_the_subset_as_it_is(tmp_path):
    prepared = prepare_data(tmp_path)
    original = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")
    for name, start in (("face", 0), ("other", 100)):
        files = sorted((prepared.crops / name).iterdir())
        assert len(files) == 100
        pixels = np.stack([np.array(Image.open(file)) for file in files])
        assert np.abs(pixels / 255 - original[start : start + 100]).max() <= 0.5 / 255 + 1e-6


def test_photos_are_dealt_out_without_overlap(tmp_path):
    prepared = prepare_data(tmp_path)
    assert (len(prepared.negatives), len(prepared.held_out)) == (8, 7)
    names = [path.name for path in (*prepared.negatives, *prepared.held_out)]
    assert sorted(names) == sorted(data.FACELESS) == list(data.FACELESS)
    assert not {"astronaut.png", "camera.png", "coins.png"} & set(names)


def test_a_missing_picture_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "PORTRAIT", "nobody.png")
    with pytest.raises(MissingExtraError, match=r"nobody.png: this scikit-image comes without the picture"):
        prepare_data(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be made a folder"):
        prepare_data(tmp_path / "file")
