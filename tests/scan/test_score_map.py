import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fullyconv.errors import ImageError, ModelError, OptionError
from fullyconv.images import prepare
from fullyconv.scan import scan

SIZES = [(57, 71), (40, 62), (18, 18)]  # window + k*stride, and not, for both networks
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


def make_image(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)


def score_whole(dense: Any, image: np.ndarray, dtype: torch.dtype = torch.float32) -> np.ndarray:
    with torch.no_grad():
        return dense(torch.from_numpy(prepare(image, dense.card))[None].to(dtype))[0].numpy()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile_px", [300, 900])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_tiled_equals_whole(dense: Any, size: tuple[int, int], tile_px: int, dtype: torch.dtype) -> None:
    dense.module.to(dtype)
    image = make_image(size)
    got = scan(dense, image, tile_px=tile_px)
    expected = score_whole(dense, image, dtype)
    assert got.scores.dtype == expected.dtype
    assert got.scores.shape == expected.shape == (expected.shape[0], *dense.grid.shape(size))
    tolerance = TOLERANCES[dtype]
    np.testing.assert_allclose(got.scores, expected, rtol=tolerance, atol=tolerance)
    assert (got.grid, got.image_size) == (dense.grid, size)


def test_forgotten_margins_would_show(dense: Any) -> None:
    careless = dataclasses.replace(dense, margins_px=((0, 0), (0, 0)))
    image = make_image((57, 71))
    difference = np.abs(scan(careless, image, tile_px=900).scores - score_whole(dense, image)).max()
    assert (difference > 1e-4) == (dense.margins_px != ((0, 0), (0, 0)))


def test_a_grid_that_is_not_the_networks(dense: Any) -> None:
    wrong = dataclasses.replace(dense, grid=dataclasses.replace(dense.grid, stride_px=(1, 1)))
    rows, columns = wrong.grid.shape((57, 71))
    with pytest.raises(ModelError, match=rf"expected scores of shape \(K, {rows}, {columns}\).*, got \("):
        scan(wrong, make_image((57, 71)))


def test_progress_counts_cells(dense: Any) -> None:
    calls: list[tuple[int, int]] = []
    scan(dense, make_image((57, 71)), tile_px=900, progress=lambda done, all_: calls.append((done, all_)))
    rows, columns = dense.grid.shape((57, 71))
    assert len(calls) > 3
    assert calls == sorted(calls)
    assert calls[-1] == (rows * columns, rows * columns)


def test_no_float_copy_of_the_image(dense: Any) -> None:
    sizes: list[int] = []
    dense.module.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[2] * args[0].shape[3]))
    scan(dense, make_image((200, 210)), tile_px=2000)
    assert max(sizes) <= 2000


class Branches(nn.Module):
    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, images: torch.Tensor) -> dict[str, Any]:
        scores = self.trunk(images)
        return {"main": scores, "others": (scores + 1, scores + 2)}


@pytest.mark.parametrize(("name", "added"), [(None, 0), ("main", 0), ("others", 1), ("others.1", 2)])
def test_several_outputs(dense: Any, name: str | None, added: int) -> None:
    image = make_image((40, 62))
    several = dataclasses.replace(dense, module=Branches(dense.module))
    got = scan(several, image, output=name).scores
    np.testing.assert_allclose(got, score_whole(dense, image) + added, rtol=1e-6)


def test_unknown_output(dense: Any) -> None:
    several = dataclasses.replace(dense, module=Branches(dense.module))
    with pytest.raises(
        OptionError, match="output 'side': the network has no such output; it has main, others"
    ):
        scan(several, make_image((40, 62)), output="side")
    with pytest.raises(OptionError, match="it has one, without a name"):
        scan(dense, make_image((40, 62)), output="side")


class Sentence(nn.Module):
    def forward(self, images: torch.Tensor) -> str:
        return "no tensor"


def test_an_output_that_is_no_tensor(dense: Any) -> None:
    with pytest.raises(ModelError, match="expected the network to return tensors, got str"):
        scan(dataclasses.replace(dense, module=Sentence()), make_image((40, 62)))


def test_nan_is_never_a_score(dense: Any) -> None:
    next(dense.module.parameters()).data.fill_(float("nan"))
    with pytest.raises(ModelError, match="expected scores that are numbers, got NaN"):
        scan(dense, make_image((40, 62)))


def test_images_that_do_not_suit(dense: Any) -> None:
    with pytest.raises(ImageError, match="the image is smaller than the window"):
        scan(dense, make_image((40, 9)))
    with pytest.raises(ImageError, match="channels for this network of 3, got 4"):
        scan(dense, np.zeros((40, 40, 4), np.uint8))
