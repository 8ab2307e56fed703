import pytest
import torch
from torch import nn

from fullyconv.errors import OptionError
from fullyconv.train.factory import build_network

SOURCE = """
import torch
from torch import nn

def by_name(outputs, window, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * window[0] * window[1], outputs))

def by_place(size, planes, units):
    return by_name(units, size, planes)

class Fixed(nn.Module):
    def __init__(self, classes=1):
        super().__init__()
        self.linear = nn.Linear(3, classes)
    def forward(self, images):
        return self.linear(images.mean((2, 3)))

def with_sigmoid():
    return nn.Sequential(Fixed(), nn.Sigmoid())

def two_outputs():
    return Fixed(2)

def broken():
    raise RuntimeError("no such weights")

def pair(window, channels, outputs):
    class Pair(nn.Module):
        def forward(self, images):
            return images, images
    return Pair()

def not_a_module():
    return 3

constant = 3
"""


@pytest.fixture
def networks(tmp_path, monkeypatch):
    (tmp_path / "own_networks_for_test.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "own_networks_for_test"


@pytest.mark.parametrize("name", ["by_name", "by_place", "Fixed"])
def test_factories_are_called_the_way_they_can_be(networks, name):
    network = build_network(f"{networks}:{name}", (8, 9), 3, 1)
    assert isinstance(network, nn.Module) and network.training
    assert network(torch.rand(5, 3, 8, 9)).shape == (5, 1)


@pytest.mark.parametrize("name", ["compact", "worked"])
def test_built_in_networks_go_by_their_names(name):
    assert build_network(name, (64, 32), 1, 3)(torch.rand(2, 1, 64, 32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "two_outputs",
            r"expected logits of shape \(2, 1\) for 2 crops of 9x8 with 3 channels, got \(2, 2\)",
        ),
        ("pair", r"expected logits of shape \(2, 1\) .* got tuple"),
        ("with_sigmoid", "expected logits, got a network that ends in an activation"),
        ("broken", "cannot be built .*no such weights"),
        ("not_a_module", "expected a torch.nn.Module, got int"),
        ("constant", "expected a callable, got int"),
        ("absent", "cannot be imported"),
    ],
)
def test_other_networks_are_refused(networks, name, message):
    with pytest.raises(OptionError, match=message):
        build_network(f"{networks}:{name}", (8, 9), 3, 1)


def test_a_network_for_other_crops_is_refused(networks):
    with pytest.raises(OptionError, match=r"fails on crops of shape \(2, 1, 8, 9\): .*build it for this window"):
        build_network(f"{networks}:Fixed", (8, 9), 1, 1)


@pytest.mark.parametrize("name", ["resnet", "module:", ":factory", "no_module_of_this_name:factory"])
def test_a_name_that_leads_nowhere_is_refused(name):
    with pytest.raises(OptionError, match="network"):
        build_network(name, (8, 8), 3, 1)
