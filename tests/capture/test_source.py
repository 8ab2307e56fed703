"""SOURCE: files and factories become modules, and nothing in them is run that should not be."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from fullyconv.capture.pt2 import save_classifier
from fullyconv.capture.source import load_source, load_weights
from fullyconv.card import ModelCard
from fullyconv.errors import ModelError, OptionError

FACTORIES = """
from torch import nn

def make(): return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 1))
def needs(window): return nn.Flatten()
def wrong(): return 3
class Net(nn.Flatten): pass
ready = nn.Flatten()
"""


class Code:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "factories", raising=False)
    (tmp_path / "factories.py").write_text(FACTORIES)
    return tmp_path


def make_state(**changes):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 1))
    return net.state_dict() | changes


@pytest.mark.parametrize("source", ["factories:make", "factories:Net", "factories:ready"])
def test_a_factory_a_class_and_a_module_are_taken(source):
    module, card = load_source(source)
    assert isinstance(module, nn.Module)
    assert not module.training
    assert card is None


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "wrapped.pt"])
def test_weights_are_filled_in(name):
    state = make_state()
    if name.endswith("safetensors"):
        safetensors.torch.save_file(state, name)
    else:
        torch.save({"state_dict": state} if "wrapped" in name else state, name)
    module, _ = load_source("factories:make", Path(name))
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())


def test_a_pt2_file_gives_its_module_and_card(folder):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 1)).eval()
    card = ModelCard(window=(4, 4), channels=1, classes=("face",))
    save_classifier(net, card, folder / "net.pt2")
    module, found = load_source("net.pt2")
    image = torch.rand(1, 1, 4, 4)
    assert torch.equal(module(image), net(image))
    assert found == card


def test_weights_of_a_pt2_file_are_its_own():
    with pytest.raises(OptionError, match="holds its own weights; leave out --weights"):
        load_source("net.pt2", Path("weights.pt"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing", "expected a .pt2, .onnx or .t7 file or module:factory, got 'nothing', which is no file"),
        ("missing:make", "module missing cannot be imported: ModuleNotFoundError"),
        ("factories:none", "expected a function, a class or a module named none, found none"),
        ("factories:needs", "failed when called without arguments: TypeError"),
        ("factories:wrong", "expected a torch.nn.Module, got int"),
    ],
)
def test_what_is_no_source_is_refused(source, message):
    with pytest.raises((ModelError, OptionError), match=message):
        load_source(source)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"0.weight": torch.zeros(2, 1, 3, 3)}, "missing: 0.bias, 1.weight, 1.bias and 5 others"),
        (make_state(extra=torch.zeros(1)), "not in the network: extra"),
        (
            make_state(**{"3.bias": torch.zeros(4)}),
            r"of another shape: 3.bias has the shape \(4,\) and not \(1,\)",
        ),
        (
            make_state(**{"3.bias": torch.tensor([torch.nan])}),
            "3.bias: expected finite weights, got NaN or infinity",
        ),
        (make_state(**{"0.bias": torch.tensor([0.0, torch.inf])}), "0.bias: expected finite weights"),
    ],
)
def test_weights_that_do_not_fit_are_refused(state, message):
    torch.save(state, "weights.pt")
    with pytest.raises(ModelError, match=message):
        load_source("factories:make", Path("weights.pt"))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_with_code_is_refused_and_not_run(protocol, folder):
    torch.save({"weight": Code()}, "code.pt", pickle_protocol=protocol)
    Path("raw.pt").write_bytes(pickle.dumps({"weight": Code()}, protocol))
    for name in ("code.pt", "raw.pt"):
        with pytest.raises(ModelError, match=f"{name}: expected tensors alone, got code, objects or a damaged file"):
            load_weights(Path(name))
    assert not (folder / "executed").exists()


def test_a_whole_module_is_refused():
    torch.save(nn.Linear(2, 2), "module.pt")
    with pytest.raises(ModelError, match=r"save module.state_dict\(\) and give the network as module:factory"):
        load_weights(Path("module.pt"))


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(name, share):
    (torch.save if name.endswith("pt") else safetensors.torch.save_file)(make_state(), name)
    content = Path(name).read_bytes()
    Path(name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="not a whole"):
        load_weights(Path(name))


def test_other_contents_are_refused():
    torch.save([1, 2], "list.pt")
    with pytest.raises(ModelError, match="expected names with their tensors, got list"):
        load_weights(Path("list.pt"))
    with pytest.raises(ModelError, match="found none"):
        load_weights(Path("absent.pt"))
    with zipfile.ZipFile("zip.pt", "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(ModelError, match="not a whole file of weights"):
        load_weights(Path("zip.pt"))
