"""Classifiers that cannot be followed run themselves on crops."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from fullyconv.errors import CaptureError, ModelError, OptionError
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.windowed import Batching

WINDOW = (16, 12)


class Classifier(nn.Module):
    """Pads, so that crops and dense scores differ; a function of scores and image comes last."""

    def __init__(self, change: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc, self.change = nn.Conv2d(3, 6, 3, 2, 1), nn.Linear(6, 4), change
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> Any:
        return self.change(self.fc(self.drop(self.conv(x).relu().mean((2, 3)))), x)


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = script(Branching())
        self.fc = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.stem(x).mean((2, 3)))


class Branching(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.mean() > 0):
            return x * 2
        return x.relu()


class Looping(nn.Module):
    """A loop of TorchScript's own, which nothing follows; it never looks at values."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(192, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = x[:, 0]
        for channel in range(1, x.size(1)):
            total = total * 0.5 + x[:, channel]
        return self.fc(total.flatten(1))


def through_numpy(scores: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.sort(scores.numpy(), axis=1))


READING: dict[str, Callable[[torch.Tensor, torch.Tensor], Any]] = {
    "branch": lambda s, x: s if x.mean() > 0 else -2 * s,
    "late_branch": lambda s, x: s if s.sum() > 0 else s.softmax(1),
    "item": lambda s, x: s * x.max().item(),
    "numpy": lambda s, x: through_numpy(s),
    "pixels": lambda s, x: s + x[x > 0.5].mean(),
    "list": lambda s, x: s * torch.tensor(x.mean((1, 2, 3)).tolist(), dtype=x.dtype)[:, None],
    "cond": lambda s, x: torch.cond(x.mean() > 0, lambda s: s * 2, lambda s: s - 1, (s,)),
    "squeezed": lambda s, x: (s * x.max().item()).squeeze(),
}
MIXING: dict[str, Callable[[torch.Tensor, torch.Tensor], Any]] = {
    "mean": lambda s, x: s - 0.5 * s.mean(0),
    "softmax": lambda s, x: s.softmax(0),
    "threshold": lambda s, x: s * torch.where(x.mean() > 0, 1.0, -2.0),
    "first": lambda s, x: s + s[0],
    "count": lambda s, x: s / len(x),
}


def script(module: nn.Module) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # still what many people have
        return torch.jit.script(module)


def draw(*size: int, seed: int = 1) -> torch.Tensor:
    """Images whose windows differ in sign and contrast."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(*size, generator=generator, dtype=torch.float64)
    return noise + 2 * F.interpolate(torch.randn(*size[:2], 3, 3, generator=generator).double(), size[2:])


def check_crops(dense: fullyconv.DenseModel, model: nn.Module, images: torch.Tensor) -> None:
    """Each score of a single output equals the model on that crop alone."""
    scores = dense(images)
    rows, columns = dense.grid.shape((images.shape[2], images.shape[3]))
    assert scores.shape[0] == len(images) and scores.shape[-2:] == (rows, columns)
    for n in range(len(images)):
        for i in range(rows):
            for j in range(columns):
                x0, y0, x1, y1 = dense.grid.box_xyxy((i, j))
                with torch.no_grad():
                    expected = model(images[n : n + 1, :, y0:y1, x0:x1])
                torch.testing.assert_close(
                    scores[n, ..., i, j], expected.reshape(scores.shape[1:-2]), rtol=1e-12, atol=1e-12
                )


@pytest.mark.parametrize("name", READING)
def test_what_reads_values_runs_on_crops(name: str) -> None:
    model = Classifier(READING[name]).double().eval()
    dense = fullyconv.convert(model, WINDOW)
    assert (dense.report.tier, dense.report.guarantee, dense.report.shared_flops) == (2, "image crops", 0)
    assert dense.grid.stride_px == (8, 6) and dense.card.channels == 3
    (reason,) = dense.report.reasons
    assert re.search("torch.export cannot follow|depends on the values of the image|for every image", reason)
    assert f"windowed because of {reason}" in str(dense.report)
    check_crops(dense, model, draw(2, 3, 16, 12))
    check_crops(dense, model, draw(2, 3, 33, 25))
    assert fullyconv.verify(dense, model).passed


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_a_batch_runs_alone(name: str) -> None:
    model = Classifier(MIXING[name]).double().eval()
    dense = fullyconv.convert(model, WINDOW)
    assert dense.report.reasons == (
        "a window's scores depend on the other windows of its batch, so each is run by itself",
    )
    assert dense.grid.stride_px == (2, 2)
    check_crops(dense, model, draw(2, 3, 19, 14))
    assert fullyconv.verify(dense, model).passed


def test_a_batch_that_must_be_two_is_the_window_twice() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 192, 5), nn.BatchNorm1d(5, track_running_stats=False)).eval()
    dense = fullyconv.convert(model, WINDOW)
    images = draw(1, 3, 16, 12).float()
    torch.testing.assert_close(dense(images)[..., 0, 0], model(torch.cat([images, images]))[:1])
    assert fullyconv.verify(dense, model).passed


def test_autocast_within_the_forward() -> None:
    class Within(Classifier):
        def forward(self, x: torch.Tensor) -> Any:
            with torch.autocast("cpu", torch.bfloat16):
                scores = super().forward(x)
            return scores.float()

    model = Within(lambda s, x: s).eval()
    dense = fullyconv.convert(model, WINDOW)
    assert isinstance(dense.module, CropModule) and dense.module.layout.is_free
    assert "switches autocast on" in dense.report.reasons[0]
    images = draw(1, 3, 16, 12).float()
    torch.testing.assert_close(dense(images)[..., 0, 0], model(images), rtol=1e-2, atol=1e-2)


def test_scripted_parts() -> None:
    model = Scripted().double().eval()
    dense = fullyconv.convert(model, WINDOW)
    check_crops(dense, model, draw(1, 3, 33, 25))
    assert fullyconv.verify(dense, model).passed


def test_scripted_networks_share_batches() -> None:
    torch.manual_seed(0)
    model = script(Looping().double().eval())
    dense = fullyconv.convert(model, WINDOW, channels=3)
    assert isinstance(dense.module, CropModule) and dense.module.layout.is_free
    check_crops(dense, model, draw(2, 3, 33, 25))


def test_one_window_a_time_or_as_many_as_fit() -> None:
    seen: list[int] = []

    class Counting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            return x.mean((2, 3))

    free = fullyconv.convert(script(Looping()), WINDOW, channels=3)
    assert isinstance(free.module, CropModule)
    window_bytes = free.module.layout.window_bytes
    assert free.with_window_memory(5 * window_bytes).module._choose_batching() == Batching(5, 1)
    assert free.with_window_memory(1).module._choose_batching() == Batching(1, 1)
    reading = fullyconv.convert(Classifier(READING["item"]).eval(), WINDOW)
    reading.module.classifier = Counting()
    reading.module.classifier.forward = lambda x: (seen.append(len(x)), torch.zeros(len(x), 4))[1]
    reading(draw(1, 3, 32, 24))
    assert set(seen) == {1} and len(seen) == 9


def test_the_model_is_not_changed() -> None:
    model = Classifier(READING["branch"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    dense = fullyconv.convert(model, WINDOW)
    assert model.training and model.drop.training and not dense.module.training
    assert torch.equal(dense(draw(1, 3, 20, 20)), dense(draw(1, 3, 20, 20)))
    with torch.no_grad():
        for parameter in dense.module.parameters():
            parameter.zero_()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_structures_arrays_and_number_types() -> None:
    model = Classifier(lambda s, x: {"a": s * x.max().item(), "b": [s[:, :1], s.reshape(-1, 2, 1, 2)]}).eval()
    dense = fullyconv.convert(model, WINDOW)
    array = draw(2, 3, 24, 24).float().numpy()
    scores = dense(array)
    assert isinstance(scores["a"], np.ndarray) and scores["a"].shape == (2, 4, 2, 3)
    assert scores["b"][0].shape == (2, 1, 2, 3) and scores["b"][1].shape == (2, 2, 2, 2, 3)
    double = dense.to(torch.float64)(array)
    assert double["a"].dtype == np.float64
    np.testing.assert_allclose(scores["a"], double["a"], rtol=1e-4, atol=1e-6)
    assert fullyconv.verify(dense, model).passed


def test_a_wrong_copy_does_not_pass() -> None:
    model = Classifier(READING["branch"]).eval()
    dense = fullyconv.convert(model, WINDOW)
    with torch.no_grad():
        next(dense.module.parameters())[0, 0, 0, 0] += 0.1
    assert not fullyconv.verify(dense, model).passed


def test_options() -> None:
    model = Classifier(READING["branch"]).eval()
    images = draw(1, 3, 19, 14).float()
    wanted = fullyconv.convert(model, WINDOW, stride=(3, 1))
    assert wanted.grid.shape((19, 14)) == (2, 3)
    for options in ({"windowed_from": "image"}, {"border": "window"}, {"border": "first-order"}):
        assert torch.equal(fullyconv.convert(model, WINDOW, stride=(3, 1), **options)(images), wanted(images))
    with pytest.raises(OptionError, match=r"approximate: nothing in this model can be replaced, because torch.export"):
        fullyconv.convert(model, WINDOW, approximate="all")
    with pytest.raises(OptionError, match=r"windowed_from 'conv': expected image for this model, because torch.export"):
        fullyconv.convert(model, WINDOW, windowed_from="conv")
    with pytest.raises(OptionError, match="stride: expected at least 1 pixel, got 1x0"):
        fullyconv.convert(model, WINDOW, stride=(0, 1))
    with pytest.raises(OptionError, match="window memory: expected at least 1 byte, got 0"):
        wanted.with_window_memory(0)


def test_it_cannot_be_saved(tmp_path: Path) -> None:
    dense = fullyconv.convert(Classifier(READING["branch"]).eval(), WINDOW)
    with pytest.raises(
        ModelError, match=r"cannot be saved, because .* on crops: torch.export.*; make the forward free"
    ):
        dense.save(tmp_path / "dense.pt2")
    assert not list(tmp_path.iterdir())


def test_what_gives_no_scores_is_an_error() -> None:
    with pytest.raises(CaptureError, match=r"output 1: expected scores of 2 windows, \(B, ...\), got float"):
        fullyconv.convert(Classifier(lambda s, x: (s, x.max().item())).eval(), WINDOW)
    changing = Classifier(lambda s, x: s[:, :2] if x.min() < 0 else s).eval()
    dense = fullyconv.convert(changing, WINDOW)
    with pytest.raises(CaptureError, match=r"gives \(1, 2\) for 1 windows of this image, expected \(1, 4\)"):
        dense(-torch.rand(1, 3, 16, 12))


def test_what_cannot_be_copied_is_an_error() -> None:
    model = Classifier(READING["branch"]).eval()
    model.lock = (value for value in ())
    with pytest.raises(ModelError, match="the network cannot be copied"):
        fullyconv.convert(model, WINDOW)
