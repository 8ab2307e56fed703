"""Models that give a dataclass, or None: the converted network gives fields by name, and None."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

import fullyconv


@dataclass
class Kinds:
    coarse: Tensor
    fine: Tensor | None = None


@dataclass(frozen=True)
class Scores:
    """Nobody told torch.export of it."""

    kinds: Kinds
    ages: list[Tensor]
    note: Tensor = field(init=False, default=torch.zeros(3))


@dataclass
class Told:
    coarse: Tensor
    fine: Tensor | None = None


torch.export.register_dataclass(Told)


class Heads(nn.Module):
    """A trunk, a gate of the whole window where asked for, and heads whose scores a dataclass holds."""

    def __init__(self, kind: type[Kinds | Told | Scores], *, gated: bool) -> None:
        super().__init__()
        self.kind, self.gated = kind, gated
        self.stem, self.coarse, self.age = nn.Conv2d(3, 6, 5), nn.Linear(6 * 8 * 4, 2), nn.Linear(6 * 8 * 4, 1)
        generator = torch.Generator().manual_seed(3)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.2, generator=generator)

    def forward(self, images: Tensor) -> Kinds | Told | Scores:
        x = torch.relu(self.stem(images))
        x = x * x.mean((2, 3), keepdim=True).sigmoid() if self.gated else x
        x = x.flatten(1)
        if self.kind is Scores:
            return Scores(Kinds(self.coarse(x)), [self.age(x)])
        return self.kind(coarse=self.coarse(x))


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("kind", [Kinds, Told, Scores])
def test_fields_are_given_by_name(tmp_path, kind, gated):
    model = Heads(kind, gated=gated).eval()
    dense = fullyconv.convert(model, window=(12, 8))
    assert dense.report.tier == 1 + gated
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    names = {"kinds.coarse", "ages.0"} if kind is Scores else {"coarse"}
    assert {comparison.output for comparison in report.comparisons} == names
    dense.save(tmp_path / "dense.pt2")
    image = torch.rand(1, 3, 15, 10)
    found = fullyconv.load(tmp_path / "dense.pt2")(image)
    own = model(image[:, :, 2:14, 1:9])
    if kind is Scores:
        assert list(found) == ["kinds", "ages"]
        own, found = own.kinds, found["kinds"]
    assert list(found) == ["coarse"]
    torch.testing.assert_close(found["coarse"][..., 2, 1], own.coarse)


def test_on_crops_too():
    model = Heads(Scores, gated=False).eval()
    dense = fullyconv.convert(model, window=(12, 8), windowed_from="image")
    assert list(dense(torch.rand(1, 3, 15, 10))) == ["kinds", "ages"]
    assert fullyconv.verify(dense, model).passed


class Branching(Heads):
    """Cannot be followed, because what it gives depends on the image's values; has a head that is for training."""

    def __init__(self, *, branches: bool) -> None:
        super().__init__(Told, gated=False)
        self.branches = branches

    def forward(self, images: Tensor) -> dict[str, object]:
        scores = super().forward(images).coarse
        if self.branches and bool(images.mean() > 9):
            scores = -scores
        return {"aux": None, "scores": (None, scores)}


@pytest.mark.parametrize("branches", [False, True])
def test_none_stays_none(tmp_path, branches):
    model = Branching(branches=branches).eval()
    dense = fullyconv.convert(model, window=(12, 8))
    assert dense.report.tier == 1 + branches
    assert fullyconv.verify(dense, model).passed
    images = [torch.rand(1, 3, 15, 10)]
    if not branches:
        dense.save(tmp_path / "dense.pt2")
        dense = fullyconv.load(tmp_path / "dense.pt2")
        dense.save(tmp_path / "dense.onnx")
        images.append(torch.rand(2, 3, 12, 8))
        assert set(fullyconv.load(tmp_path / "dense.onnx")(images[0])) == {"aux", "scores"}
    for image in images:
        found = dense(image)
        assert list(found) == ["aux", "scores"]
        assert found["aux"] is None and found["scores"][0] is None
        assert found["scores"][1].shape[:2] == (len(image), 2)
