"""TorchScript, traced or scripted, converts like the model that it was made of."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import fullyconv
from fullyconv.errors import ModelError
from fullyconv.report.description import describe
from zoo import ZOO, build

LOCAL = ["plain", "resnet", "transposed", "named_axes", "channel_gates"]


def make_script(name: str, kind: str) -> torch.jit.ScriptModule:
    model, entry = build(name), ZOO[name]
    image = torch.rand(2, entry.channels, *entry.window, generator=torch.Generator().manual_seed(0))
    return torch.jit.trace(model, image) if kind == "traced" else torch.jit.script(model)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's, of TorchScript
@pytest.mark.parametrize("kind", ["traced", "scripted"])
@pytest.mark.parametrize("name", LOCAL)
def test_equals_itself_on_windows(tmp_path, name, kind):
    make_script(name, kind).save(tmp_path / "a.pt")
    script, entry = torch.jit.load(tmp_path / "a.pt"), ZOO[name]
    dense = fullyconv.convert(script, window=entry.window, channels=entry.channels)
    assert (dense.report.tier, dense.report.guarantee) == (entry.tier, entry.guarantee), dense.report
    report = fullyconv.verify(dense, script)
    assert report.passed, str(report)
    assert report.checked_beyond_window
    assert report.errors["window"]["float64"] < 1e-12
    own = fullyconv.convert(build(name), window=entry.window)
    assert dense.report.shared_flops == own.report.shared_flops
    assert describe(dense).parameters == describe(own).parameters > 0
    wrong = fullyconv.convert(build(name).apply(corrupt), window=entry.window)
    assert not fullyconv.verify(wrong, script).passed


def corrupt(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d):
        with torch.no_grad():
            layer.weight[0, 0] += 0.01


class Branching(nn.Module):
    """Does another thing to bright images, which a trace would not show."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.unit = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv(images).mean((2, 3))
        if bool(images.mean() > 0):
            x = -x
        return self.unit(x)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_branches_by_its_image_runs_on_crops():
    torch.manual_seed(0)
    script = torch.jit.script(Branching().eval())
    dense = fullyconv.convert(script, window=(9, 9))
    assert (dense.report.tier, dense.report.shared_flops) == (2, 0)
    assert fullyconv.verify(dense, script).passed


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_of_it_is_not_opened(tmp_path):
    make_script("plain", "scripted").save(tmp_path / "a.pt2")
    with pytest.raises(ModelError, match=r"got TorchScript, which is code; if you trust it, give what torch.jit.load"):
        fullyconv.convert(tmp_path / "a.pt2", window=(26, 38))
