"""The public function, with networks that fullyconv converted."""

from __future__ import annotations

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import fullyconv
from fullyconv.capture.pt2 import save_classifier
from fullyconv.errors import CaptureError, ImageError
from fullyconv.verify import VerifySettings, verify


def fill(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.normal_(0, (1.5 / max(tensor[0].numel(), 4)) ** 0.5, generator=generator)
    return module.eval()


def test_converted_networks_pass(case):
    window = case.subject.grid.window_px
    dense = fullyconv.convert(case.model, window=window)
    report = verify(dense, case.model)
    assert report.passed, str(report)
    assert not report.notes
    assert dense.grid.stride_px == case.subject.grid.stride_px
    assert report.guarantee == case.subject.guarantee
    assert max(errors["float64"] for errors in report.errors.values()) < 1e-12


@pytest.fixture
def small(square):
    return fullyconv.convert(square.model, window=(16, 16)), square.model


def change(dense, edit):
    """The converted network with the first fully connected layer's kernel changed."""
    module = copy.deepcopy(dense.module)
    with torch.no_grad():
        kernel = next(value for value in module.parameters() if value.shape == (5, 6, 5, 5))
        kernel.copy_(edit(kernel.clone()))
    return dataclasses.replace(dense, module=module)


def corrupt(kernel: Tensor) -> Tensor:
    kernel[1, 2, 3, 4] += 0.01
    return kernel


@pytest.mark.parametrize(
    "edit", [corrupt, lambda kernel: kernel.mT, lambda kernel: kernel.roll(1, -1), lambda kernel: kernel.flip(1)]
)
def test_a_wrong_kernel_fails(small, edit):
    dense, model = small
    assert verify(dense, model).passed
    report = verify(change(dense, edit), model)
    assert not report.passed
    assert min(report.errors["window"].values()) > 1e-5


def test_another_model_s_weights_fail(small):
    dense, model = small
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.second.bias[0] += 0.01
    assert not verify(dense, other).passed


def test_every_form_of_the_original_serves(small, tmp_path):
    dense, model = small
    path = tmp_path / "model.pt2"
    save_classifier(model, dense.card, path)
    program = torch.export.export(model, (torch.zeros(2, 3, 16, 16),), strict=False)
    for original in (program, path, str(path)):
        report = verify(dense, original)
        assert report.passed, str(report)
        assert report.checked_beyond_window


def test_a_saved_network_is_verified_like_a_fresh_one(small, tmp_path):
    dense, model = small
    dense.save(tmp_path / "dense.pt2")
    report = verify(fullyconv.load(tmp_path / "dense.pt2"), model)
    assert report.passed, str(report)
    assert set(report.errors) == {"window", "image crops", "feature windows"}


def test_the_user_s_images_are_sampled_with_a_seed(small, tmp_path):
    dense, model = small
    pixels = np.random.default_rng(0).integers(0, 256, (60, 71, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    report = verify(
        dense,
        model,
        [tmp_path / "image.png", pixels],
        settings=VerifySettings(windows_per_image=10, seed=4),
    )
    assert report.passed, str(report)
    crops = [item for item in report.comparisons if item.guarantee == "image crops"]
    assert {item.cells for item in crops} == {10}
    assert {item.image for item in crops} == {str(tmp_path / "image.png"), "array 2"}
    assert report.seed == 4


def test_an_image_smaller_than_the_window_is_refused(small):
    dense, model = small
    with pytest.raises(ImageError, match="smaller than the window: expected at least 16x16"):
        verify(dense, model, torch.zeros(3, 15, 20))


class Shuffled(nn.Module):
    """Padded, with a channel shuffle: an exported program has the window's size written into its trunk."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.unit = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.first(images))
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(x.shape)
        return self.unit(F.relu(self.last(x)).mean((2, 3)))


def test_a_trunk_that_fits_the_window_only_is_never_passed_silently():
    model = fill(Shuffled())
    dense = fullyconv.convert(model, window=(8, 10))
    assert verify(dense, model).checked_beyond_window
    program = torch.export.export(model, (torch.zeros(2, 3, 8, 10),), strict=False)
    report = verify(dense, program)
    assert report.passed
    assert not report.checked_beyond_window
    assert str(report).startswith("passed at window size only")
    assert any("feature windows: checked at window size only (RuntimeError" in note for note in report.notes)


class Excited(nn.Module):
    """Squeeze and excitation: a shared trunk and a windowed head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 6, 3)
        self.gate, self.unit = nn.Linear(6, 6), nn.Linear(6, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.first(images))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]
        return torch.sigmoid(self.unit(F.relu(self.last(x)).mean((2, 3))))


def test_a_windowed_head_is_verified_by_feature_windows():
    model = fill(Excited())
    dense = fullyconv.convert(model, window=(12, 8))
    report = verify(dense, model)
    assert dense.report.tier == 2
    assert report.passed, str(report)
    assert set(report.errors) == {"window", "feature windows"}
    assert all(fidelity.top1_agreement is not None for fidelity in report.fidelity)


class Binned(nn.Module):
    """An adaptive pooling that is folded into the fully connected layer's kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.unit = nn.Conv2d(3, 4, 3), nn.Linear(4 * 9, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.unit(F.adaptive_avg_pool2d(torch.tanh(self.stem(images)), 3).flatten(1))


def test_folded_weights_are_allowed_their_rounding_and_no_more():
    model = fill(Binned())
    dense = fullyconv.convert(model, window=(10, 9))
    report = verify(dense, model)
    assert report.passed, str(report)
    assert any("computed weights, kept rounded" in note for note in report.notes)
    assert max(item.tolerance for item in report.comparisons if item.dtype == "float64") < 1e-6
    exact = copy.deepcopy(model).double()
    report = verify(fullyconv.convert(exact, window=(10, 9)), exact)
    assert report.passed, str(report)
    assert report.errors["image crops"]["float64"] < 1e-12


class SinglePrecision(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.unit = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.stem(images)).mean((2, 3)).to(torch.float32)
        return F.linear(x, self.unit.weight.float(), self.unit.bias.float())


def test_a_model_that_is_not_float64_everywhere_is_judged_in_float32():
    model = fill(SinglePrecision())
    report = verify(fullyconv.convert(model, window=(8, 8)), model)
    single = [item for item in report.comparisons if item.dtype == "float32"]
    assert single and all(item.passed for item in single), str(report)


class Remembering(nn.Module):
    """A recurrence over columns: its converted network keeps the captured number type of the first state."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.columns, self.unit = nn.Conv2d(3, 4, 4, 4), nn.LSTM(8, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.stem(images)).flatten(1, 2).transpose(1, 2)
        return self.unit(self.columns(x)[0][:, -1])


def test_a_recurrence_is_checked_in_float32_at_least():
    model = fill(Remembering())
    report = verify(fullyconv.convert(model, window=(8, 12)), model)
    assert report.passed, str(report)
    assert report.checked_beyond_window
    assert "float32" in report.errors["image crops"]


def test_a_model_that_cannot_run_at_the_window_is_refused(small):
    with pytest.raises(CaptureError):
        verify(small[0], nn.Linear(7, 2))


class Worked(nn.Module):
    """The worked example: reduces by 32 without padding; 4 units, 1 unit."""

    def __init__(self) -> None:
        super().__init__()
        channels = (3, 6, 6, 8, 8, 8)
        layers = itertools.pairwise(channels)
        self.trunk = nn.Sequential(*[
            layer for inner, outer in layers for layer in (nn.Conv2d(inner, outer, 2, 2), nn.ReLU(inplace=True))
        ])  # fmt: skip
        self.first, self.second = nn.Linear(8 * 4 * 2, 4), nn.Linear(4, 1)

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.second(F.relu(self.first(self.trunk(images).flatten(1)))))


def test_the_worked_example_equals_all_403_patches_and_crops():
    model = fill(Worked())
    image = torch.rand(3, 512, 1024, generator=torch.Generator().manual_seed(2))
    dense = fullyconv.convert(model, window=(128, 64))
    report = verify(dense, model, image, settings=VerifySettings(windows_per_image=403))
    assert report.passed, str(report)
    for guarantee in ("image crops", "feature windows"):
        compared = [item for item in report.comparisons if item.guarantee == guarantee]
        assert {item.cells for item in compared} == {403}
        assert {item.quantity for item in compared} == {"scores", "logits"}
        assert report.errors[guarantee]["float32"] < 1e-5
        assert report.errors[guarantee]["float64"] < 1e-12


class Rounding(nn.Module):
    """Computes part of its forward in single precision, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, 4, 3, 2), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.fc(torch.tanh(x.float()).to(x.dtype).mean((2, 3)))


def test_a_model_that_rounds_within_is_held_to_what_it_can_do():
    torch.manual_seed(0)
    model = Rounding().double().eval()
    report = fullyconv.verify(fullyconv.convert(model, (17, 21)), model)
    assert report.passed, report
    assert any("rounds to coarser numbers within its forward" in note for note in report.notes)
    assert {item.tolerance for item in report.comparisons if item.dtype == "float64"} == {2e-5}
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    assert not fullyconv.verify(fullyconv.convert(plain, (8, 8)), plain).notes
