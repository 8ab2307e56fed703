"""The user's model in its three forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fullyconv.capture.pt2 import save_classifier
from fullyconv.card import ModelCard
from fullyconv.errors import CaptureError, ModelError, OptionError
from fullyconv.verify.original import Original


def make_windows(count: int) -> Tensor:
    return torch.randn(count, 3, 16, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_program_of_one_batch_size_answers_any_number_of_windows(plain, batch):
    program = torch.export.export(plain.model, (torch.zeros(batch, 3, 16, 20),), strict=False)
    windows = make_windows(7)
    original = Original(program, make_windows(2), torch.float32)
    expected = plain.model(windows.float()).detach()
    torch.testing.assert_close(original.answer(windows)["scores"].scores, expected, rtol=1e-5, atol=1e-6)


def test_a_pt2_file_is_an_original(plain, tmp_path):
    path = tmp_path / "model.pt2"
    save_classifier(plain.model, ModelCard((16, 20), 3), path)
    windows = make_windows(3)
    for source in (path, str(path)):
        found = Original(source, make_windows(2), torch.float32).answer(windows)["scores"].scores
        expected = plain.model(windows.float()).detach()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


class FixedBatch(nn.Module):
    def __init__(self, batch: int) -> None:
        super().__init__()
        self.layer, self.batch = nn.Linear(960, 2), batch

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.reshape(self.batch, 960))


@pytest.mark.parametrize("batch", [1, 2])
def test_a_module_of_one_batch_size_answers_any_number_of_windows(batch):
    model, windows = FixedBatch(batch).double(), make_windows(5)
    found = Original(model, make_windows(2), torch.float64).answer(windows)["scores"].scores
    torch.testing.assert_close(found, model.layer(windows.flatten(1)).detach(), rtol=0, atol=1e-12)


def test_outputs_without_a_batch_are_refused():
    with pytest.raises(CaptureError, match="its outputs do not begin with the batch of 1"):
        Original(Ending(lambda x: x.sum()), make_windows(2), torch.float64)


class Ending(nn.Module):
    def __init__(self, end) -> None:
        super().__init__()
        self.layer, self.end = nn.Linear(960, 2), end

    def forward(self, images: Tensor) -> Tensor:
        return self.end(self.layer(images.flatten(1)))


@pytest.mark.parametrize(
    "end",
    [
        lambda x: torch.softmax(x, 1),
        lambda x: torch.sigmoid(x)[:, :, None],
        lambda x: x.sigmoid_().unsqueeze(-1).squeeze(-1),
        lambda x: x.softmax(-1).reshape(-1, 1, 2, 1),
    ],
)
def test_logits_are_found_behind_views(end):
    model, windows = Ending(end).double(), make_windows(20)
    answer = Original(model, make_windows(2), torch.float64).answer(windows)["scores"]
    assert answer.logits is not None
    assert answer.logits.shape == answer.scores.shape
    expected = model.layer(windows.flatten(1)).detach()
    torch.testing.assert_close(answer.logits.reshape(20, 2), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("end", [lambda x: x, lambda x: torch.sigmoid(x) * x, lambda x: 1 - torch.softmax(x, 1)])
def test_an_output_that_no_activation_ends_has_no_logits(end):
    answer = Original(Ending(end), make_windows(2), torch.float64).answer(make_windows(3))["scores"]
    assert answer.logits is None


def test_a_model_that_fails_at_the_window_is_refused():
    with pytest.raises(CaptureError, match=r"the original fails on a window in torch.float64: RuntimeError"):
        Original(nn.Linear(7, 2), make_windows(2), torch.float64)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"expected the original as a module, .* got dict"):
        Original({}, make_windows(2), torch.float64)
    with pytest.raises(ModelError, match="no such file"):
        Original(tmp_path / "none.pt2", make_windows(2), torch.float64)


def test_a_model_that_cannot_be_copied_is_refused():
    model = nn.Linear(20, 2)
    model.cached = model.weight * 2
    with pytest.raises(ModelError, match="Linear: the network cannot be copied"):
        Original(model, make_windows(2), torch.float64)
