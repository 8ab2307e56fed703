"""Computed weights are told from re-ordered ones, and their rounding is measured."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import fullyconv
from fullyconv.verify.rounding import find_computed, measure_rounding

IMAGES = torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


class Mix(nn.Module):
    """A 1x1 convolution, and its logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(6, 5, 1)
        for parameter in self.parameters():
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(3))

    def logits(self, images: Tensor) -> Tensor:
        return self.layer(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images).sigmoid()


def test_order_and_repetition_make_no_computed_weight():
    original, dense = nn.Linear(6, 5), nn.Module()
    dense.kernel = nn.Parameter(original.weight.detach().reshape(5, 2, 3).permute(0, 2, 1)[:, :, :, None])
    dense.bias = nn.Parameter(original.bias.detach().flip(0))
    dense.register_buffer("spread", original.bias.detach()[:, None].expand(5, 7).clone())
    dense.register_buffer("count", torch.tensor(3))
    dense.register_buffer("places", torch.eye(5))  # which picks values, and is rounded in no number type
    assert find_computed(dense, original) == ()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_one_other_value_makes_a_computed_weight(dtype):
    original = nn.Linear(6, 5).to(dtype)
    dense = copy.deepcopy(original)
    assert find_computed(dense, original) == ()
    with torch.no_grad():
        dense.weight[2, 3] *= 1.5
    assert find_computed(dense, original) == ("weight",)
    with torch.no_grad():
        dense.weight.copy_(original.weight)
    dense.bias = nn.Parameter(torch.cat([original.bias.detach(), original.bias.detach()[:2]]))
    assert find_computed(dense, original) == ()  # values of the bias, some of them twice
    dense.bias = nn.Parameter(torch.cat([original.bias.detach(), original.weight.detach()[0]]))
    assert find_computed(dense, original) == ("bias",)


@pytest.mark.parametrize(("dtype", "unit"), [(torch.float32, 2**-24), (torch.bfloat16, 2**-8)])
def test_rounding_is_about_a_unit_of_the_kept_number_type(dtype, unit):
    rounding = measure_rounding(Mix().to(dtype), ["layer.weight"], IMAGES, seed=0)
    assert set(rounding) == {("scores", "scores"), ("scores", "logits")}
    assert 0.1 * unit < rounding["scores", "logits"] < 2 * unit  # the largest of several directions


def test_without_computed_weights_there_is_no_rounding():
    assert measure_rounding(Mix(), [], IMAGES, seed=0) == {}


def test_a_network_that_fails_has_none():
    assert measure_rounding(Mix(), ["layer.weight"], IMAGES[:, :2], seed=0) == {}


class GeM(nn.Module):
    """A generalised mean: the root's exponent is computed of the power's, and kept rounded."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.stem, self.unit = nn.Conv2d(3, 8, 5), nn.Linear(8, 2)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.15, 0.15, generator=generator)
        self.power = nn.Parameter(torch.empty(1).uniform_(1.5, 4.5, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.stem(images)).clamp(min=1e-6).pow(self.power).mean((2, 3)).pow(1.0 / self.power)
        return self.unit(x)


@pytest.mark.parametrize("seed", range(8))
def test_what_a_rounded_exponent_does_at_any_contrast_is_allowed(seed):
    """Right conversions failed, of which the rounding had been measured on fainter images than were compared."""
    model = GeM(seed).eval()
    dense = fullyconv.convert(model, window=(17, 21))
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    (name,) = find_computed(dense.module, model)
    with torch.no_grad():
        dict(dense.module.state_dict())[name].mul_(1 + 1e-5)
    assert not fullyconv.verify(dense, model).passed
