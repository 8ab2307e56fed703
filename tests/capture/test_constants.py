"""Constants that a program makes of its weights: right, and never held all at once."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fullyconv
from fullyconv.analyze import make_plan
from fullyconv.capture.agreement import check_agreement
from fullyconv.capture.torch_export import capture
from fullyconv.rewrite.conversion import build_dense
from living import Living

LAYERS, CHANNELS = 12, 32


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        flat = self.weight.flatten(1) * 3
        flat = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 0.1)
        return F.conv2d(x, flat.view_as(self.weight), self.bias, padding=1)


def make_standardised() -> nn.Module:
    torch.manual_seed(0)
    convolutions = [Standardised(3 if i == 0 else CHANNELS, CHANNELS, 3) for i in range(LAYERS)]
    return nn.Sequential(*convolutions, nn.Flatten()).eval()


def count_tensor_bytes() -> int:
    gc.collect()
    tensors = [found for found in gc.get_objects() if type(found) in (Tensor, nn.Parameter)]
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


def test_what_lies_between_weights_and_constants_is_not_held() -> None:
    model = make_standardised()
    weights = sum(parameter.nbytes for parameter in model.parameters())
    before = count_tensor_bytes()
    captured = capture(model, (3, 3))
    assert count_tensor_bytes() - before < 0.1 * weights
    with Living(model) as agreeing:
        check_agreement(captured, model)
    assert agreeing.peak < weights
    plan = make_plan(captured.graph)
    with Living(model) as building:
        dense = build_dense(plan, captured, None)
    assert weights <= building.peak < 2 * weights
    assert sum(tensor.nbytes for tensor in dense.module.parameters()) <= weights


def test_constants_are_there_without_being_computed() -> None:
    model = make_standardised()
    constants = capture(model, (3, 3)).tensors
    computed = list(constants.types)
    with Living(model) as watch:
        assert len(constants) == len(list(constants)) and computed[0] in constants and "1.bias" in constants
        assert "image" not in constants
    assert not watch.peak
    with pytest.raises(KeyError, match="image"):
        constants["image"]


class Weighted(nn.Module):
    """A convolution whose weight a function makes of others."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.register_buffer("wide", torch.randn(4, 3, 3, 3, dtype=torch.float64))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.function(self.weight, self.wide))


def write_into_a_copy(weight: Tensor, wide: Tensor) -> Tensor:
    source = wide * 2
    return source.type_as(weight).mul_(3) + source.to(torch.float32) + weight


def write_into_a_view(weight: Tensor, wide: Tensor) -> Tensor:
    made = weight + 1
    made[:, 0].mul_(2)
    return made * made.transpose(2, 3)


def read_again(weight: Tensor, wide: Tensor) -> Tensor:
    row = weight.flatten(1)
    return (row - row.mean(1, keepdim=True)).view(4, 3, 3, 3) + row.sum() * wide.float()


@pytest.mark.parametrize("function", [write_into_a_copy, write_into_a_view, read_again])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constants_are_the_modules_own(function: Callable[..., Tensor], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = Weighted(function).to(dtype).eval()
    kept = model.weight.detach().clone()
    dense = fullyconv.convert(model, (7, 6))
    image = torch.randn(1, 3, 9, 8, dtype=dtype)
    with torch.no_grad():
        wanted = torch.stack([model(image[..., y : y + 7, x : x + 6]) for y in range(3) for x in range(3)])
        found = dense(image).flatten(4).permute(4, 0, 1, 2, 3)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    torch.testing.assert_close(found.reshape(wanted.shape), wanted, rtol=tolerance, atol=tolerance)
    assert torch.equal(model.weight, kept)


class Tokens(nn.Module):
    """Adds a learned token, changed twice, to the cells of a window; all of them are mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.token = nn.Conv2d(3, 4, 3, 2), nn.Parameter(torch.randn(1, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        cells = self.conv(x).flatten(2).transpose(1, 2)
        token = torch.tanh(self.token * 2).expand(len(x), -1, -1) + 0.5
        tokens = torch.cat([token, cells], 1)
        return (torch.softmax(tokens @ tokens.transpose(1, 2), -1) @ tokens)[:, 0]


def test_constants_of_the_batch_are_made_anew_from_what_they_were_made_of() -> None:
    torch.manual_seed(0)
    model = Tokens().eval()
    dense = fullyconv.convert(model, (9, 9))
    assert dense.report.tier == 2
    assert fullyconv.verify(dense, model).passed
