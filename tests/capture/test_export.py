"""Capture follows Python code, in-place writes, odd inputs and batch sizes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from fullyconv.capture.call_json import dump_call, load_call
from fullyconv.capture.calls import Call, PerBatch, Ref, find_operation, run_call
from fullyconv.capture.torch_export import capture, evaluate, free_batch
from fullyconv.errors import CaptureError, FollowError


class Written(nn.Module):
    """Writes into a tensor that is read under another name."""

    def __init__(self, write: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.stem, self.write, self.fc = nn.Conv2d(3, 4, 3), write, nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.write(self.stem(x)).mean((2, 3)))


def into_a_slice(x: torch.Tensor) -> torch.Tensor:
    x[:, :2] *= 2
    return x


def into_the_whole(x: torch.Tensor) -> torch.Tensor:
    first = x[:, :2]
    x.relu_()
    return torch.cat([x, first], 1)[:, 2:]


def then_read(x: torch.Tensor) -> torch.Tensor:
    return x.add_(1).mul_(2).relu_() - 1


@pytest.mark.parametrize("write", [into_a_slice, into_the_whole, then_read])
def test_in_place_writes(write: Callable[[torch.Tensor], torch.Tensor]) -> None:
    torch.manual_seed(0)
    model = Written(write).double().eval()
    dense = fullyconv.convert(model, (9, 8))
    images = torch.randn(2, 3, 10, 11, dtype=torch.float64)
    scores = dense(images)
    with torch.no_grad():
        for i in range(2):
            for j in range(4):
                expected = model(images[:, :, i : i + 9, j : j + 8])
                torch.testing.assert_close(scores[..., i, j], expected, rtol=1e-12, atol=1e-12)


def test_writing_into_the_image_leaves_it_alone() -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(24, 2)).eval()
    dense = fullyconv.convert(model, (5, 4), channels=3)
    images = torch.randn(1, 3, 5, 4)
    before = images.clone()
    scores = dense(images)
    torch.testing.assert_close(images, before, rtol=0, atol=0)
    torch.testing.assert_close(scores[..., 0, 0], model(images))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_channels_are_inferred(channels: int) -> None:
    convolution = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Flatten(), nn.Linear(24, 2))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(channels * 20, 2))
    for model in (convolution, flat):
        assert fullyconv.convert(model, (5, 4)).card.channels == channels


class Applying(nn.Module):
    """Applies a function to the image."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def branch(x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


def scale_by_a_number(x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3)) * x.max().item()


def choose_pixels(x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3)) + x[x > 0.5].mean()


def branch_in_the_graph(x: torch.Tensor) -> torch.Tensor:
    return torch.cond(x.sum() > 0, lambda x: x.mean((2, 3)), lambda x: x.amax((2, 3)), (x,))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (branch, "torch.export cannot follow the model"),
        (scale_by_a_number, "its size or number depends on the values of the image"),
        (choose_pixels, "its size or number depends on the values of the image"),
        (branch_in_the_graph, "expected a forward that does the same for every image"),
    ],
)
def test_what_depends_on_values_cannot_be_followed(
    function: Callable[[torch.Tensor], torch.Tensor], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FollowError, match=reason):
        capture(Applying(function), (4, 4), channels=3)
    assert capfd.readouterr() == ("", "")


class Returning(nn.Module):
    """Returns what a function makes of its scores."""

    def __init__(self, function: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 2, 4), function

    def forward(self, x: torch.Tensor) -> object:
        return self.function(self.conv(x).flatten(1))


def test_outputs_that_are_no_scores() -> None:
    with pytest.raises(CaptureError, match="expected tensors, or None beside them, got 3 among them"):
        fullyconv.convert(Returning(lambda x: (x, 3)), (4, 4))
    with pytest.raises(CaptureError, match="got none"):
        fullyconv.convert(Returning(lambda x: {"aux": None}), (4, 4))
    with pytest.raises(CaptureError, match="does not depend on the image"):
        fullyconv.convert(Returning(lambda x: (x, torch.ones(2, 3))), (4, 4))


def test_evaluate_gives_the_models_own_values() -> None:
    model = Written(then_read).eval()
    captured = capture(model, (9, 8))
    image = torch.randn(2, 3, 9, 8)
    (value,) = evaluate(captured, image, captured.graph.outputs)
    torch.testing.assert_close(value, model(image), rtol=0, atol=0)


def test_batch_sizes_in_literals_are_found() -> None:
    class Views(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(x.shape[0], -1).reshape(2 * x.shape[0], -1).view(x.shape[0], -1)

    captured = free_batch(capture(Views(), (4, 6), channels=3), Views())
    assert captured.rebatchable
    literals = [arg for call in captured.calls.values() for arg in call.args[1] if isinstance(arg, PerBatch)]
    assert PerBatch(0, 1) in literals and PerBatch(0, 2) in literals


def test_calls_survive_json() -> None:
    call = Call(
        "aten.clamp.default",
        (Ref("x"), float("-inf"), [PerBatch(1, 2), None, True]),
        {"dtype": torch.float32, "device": torch.device("cpu"), "layout": torch.strided},
        ("y",),
    )
    assert load_call(dump_call(call)) == call
    with pytest.raises(TypeError, match="cannot be saved"):
        dump_call(Call("aten.relu.default", (object(),)))
    with pytest.raises(ValueError, match="dtype"):
        load_call({"target": "aten.relu.default", "args": [{"dtype": "nn"}], "kwargs": {}, "outputs": []})


@pytest.mark.parametrize("target", ["os.system.default", "aten.from_file.default", "aten.no_such_thing.default"])
def test_files_can_name_tensor_operations_only(target: str) -> None:
    with pytest.raises(KeyError):
        find_operation(target)


def test_literals_are_made_for_the_batch() -> None:
    call = Call("aten.reshape.default", (Ref("x"), [PerBatch(0, 2), -1]), {}, ("y",))
    (result,) = run_call(call, {"x": torch.zeros(3, 4)}, 3)
    assert result.shape == (6, 2)


class Standardised(nn.Conv2d):
    """Its weights have mean 0 and deviation 1, whatever they are."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = self.weight.flatten(1)
        flat = (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True)
        return F.conv2d(x, flat.view_as(self.weight), self.bias)


def test_computed_weights_are_rounded_once() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Standardised(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    nn.init.normal_(model[0].weight, mean=1.0, std=0.01)
    image = torch.randn(1, 3, 9, 8, dtype=torch.float64)
    dense = fullyconv.convert(model, (9, 8)).to(torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(dense(image)[..., 0, 0], model.double()(image), rtol=0, atol=1e-6)


LENT = {
    "expand_as": lambda gate, x, y: y * gate[:, :, None, None].expand_as(x),
    "view_as": lambda gate, x, y: y * gate.view_as(x[:, :, :1, :1]),
    "reshape_as": lambda gate, x, y: (y.flatten(2) * gate[:, :, None]).reshape_as(x),
}


@pytest.mark.parametrize("name", LENT)
def test_a_tensor_that_lends_its_shape_need_not_be_there(name: str) -> None:
    """What runs on windows may take the shape of a map that is not among those cut for it."""

    class Lending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.last, self.fc = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = self.stem(images)
            y = self.last(x).tanh()
            return self.fc(LENT[name](y.mean((2, 3)).sigmoid(), x, y).relu().mean((2, 3)))

    torch.manual_seed(0)
    model = Lending().eval()
    dense = fullyconv.convert(model, (9, 11))
    assert dense.report.tier == 2
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    assert report.errors["image crops"]["float64"] < 1e-12
