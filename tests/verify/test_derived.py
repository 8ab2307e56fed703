"""Maps that the original makes at window size only are checked by the maps of which they are made."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fullyconv
from fullyconv.capture.torch_export import capture
from fullyconv.verify import verify
from fullyconv.verify.derived import find_derived


class Relative(nn.Module):
    """Attention whose positions are told by products of each cell, which knows the window's size only.

    `drift` is what the trunk takes off larger images.
    """

    def __init__(self, drift: float = 0.0) -> None:
        super().__init__()
        self.drift = drift
        self.stem, self.queries = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 6, 1)
        self.places, self.unit = nn.Parameter(torch.empty(6, 4)), nn.Linear(6, 3)
        generator = torch.Generator().manual_seed(4)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        larger = images.shape[-2:] != (12, 8)
        x = F.relu(self.stem(images * (1 - self.drift * larger)))
        cells = self.queries(x).flatten(2).transpose(1, 2)
        near = cells.reshape(-1, 6, 4, 6) @ self.places
        near = near.amax(3).flatten(1) + near.mean(3).flatten(1)
        mixed = near.softmax(1)[:, None] @ (cells + x.flatten(2).transpose(1, 2))
        return self.unit(mixed.flatten(1))


def test_patches_of_what_they_are_made_of_are_compared():
    model = Relative().eval()
    dense = fullyconv.convert(model, window=(12, 8))
    assert len(dense.feature_maps) > len(find_sources(model)) > 0
    report = verify(dense, model)
    assert report.passed, str(report)
    assert report.checked_beyond_window
    assert report.errors["feature windows"]["float64"] < 1e-12
    (note,) = report.notes
    assert note.startswith(f"feature windows: patches of {', '.join(find_sources(model))} are compared")


def test_a_trunk_that_is_another_one_on_larger_images_fails():
    report = verify(fullyconv.convert(Relative().eval(), window=(12, 8)), Relative(drift=1e-3).eval())
    assert not report.passed
    assert report.errors["window"]["float64"] < 1e-12
    assert report.errors["feature windows"]["float64"] > 1e-5


def find_sources(model: nn.Module) -> list[str]:
    names = [found.value for found in fullyconv.convert(model, window=(12, 8)).feature_maps]
    derived = find_derived(capture(model, (12, 8)).graph, names)
    return [name for name in names if name not in derived]


def test_what_slides_over_cells_makes_maps_of_their_own():
    layers = nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Sigmoid(), nn.Flatten(), nn.Linear(96, 2)
    graph = capture(nn.Sequential(*layers).eval(), (6, 4)).graph
    first, rectified, second, sigmoid = [node.outputs[0].name for node in graph.nodes][:4]
    assert find_derived(graph, [first, rectified, second, sigmoid]) == {rectified, sigmoid}
    assert find_derived(graph, [rectified, sigmoid]) == frozenset()
    assert find_derived(graph, [graph.image.name, first]) == frozenset()
