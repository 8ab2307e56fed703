"""A file's ending says what it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fullyconv.capture.model_file import load_model_file
from fullyconv.capture.pt2 import save_classifier
from fullyconv.card import ModelCard
from fullyconv.errors import ModelError
from torch7_layers import relu
from torch7_writer import write_t7


@pytest.mark.parametrize("name", ["a.t7", "b.T7"])
def test_torch7(name, tmp_path):
    (tmp_path / name).write_bytes(write_t7(relu()))
    module, card = load_model_file(tmp_path / name)
    assert isinstance(module, nn.ReLU)
    assert card is None


def test_torch_export(tmp_path):
    card = ModelCard((2, 2), 1)
    save_classifier(nn.Flatten(), card, tmp_path / "a.pt2")
    module, found = load_model_file(tmp_path / "a.pt2")
    assert module(torch.zeros(1, 1, 2, 2)).shape == (1, 4)
    assert found == card


def test_one_under_the_name_of_the_other(tmp_path):
    (tmp_path / "a.pt2").write_bytes(write_t7(relu()))
    with pytest.raises(ModelError, match=r"a.pt2: expected a torch.export file \(.pt2\), got something else"):
        load_model_file(tmp_path / "a.pt2")
    save_classifier(nn.Flatten(), ModelCard((2, 2), 1), tmp_path / "b.pt2")
    (tmp_path / "b.pt2").rename(tmp_path / "b.t7")
    with pytest.raises(ModelError, match=r"b.t7: expected a whole binary Torch7 file \(.t7\)"):
        load_model_file(tmp_path / "b.t7")
