import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from fullyconv import DenseModel
from fullyconv.card import Border
from fullyconv.errors import ImageError, ModelError, OptionError
from fullyconv.images import prepare
from fullyconv.scan import scan
from zoo import ZOO, build

SIZES = [(57, 71), (40, 62), (18, 18)]  # window + k*stride, and not, for each network
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


def make_image(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)


def score_whole(dense: DenseModel, image: np.ndarray) -> np.ndarray:
    return dense(prepare(image, dense.card)[None])[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile_px", [400, 900])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_tiled_equals_whole(dense: DenseModel, size: tuple[int, int], tile_px: int, dtype: torch.dtype) -> None:
    dense = dense.to(dtype)
    image = make_image(size)
    got = scan(dense, image, tile_px=tile_px)
    expected = score_whole(dense, image)
    assert got.scores.dtype == expected.dtype
    assert got.scores.shape == expected.shape == (expected.shape[0], *dense.grid.shape(size))
    tolerance = TOLERANCES[dtype]
    np.testing.assert_allclose(got.scores, expected, rtol=tolerance, atol=tolerance)
    assert (got.grid, got.image_size) == (dense.grid, size)


@pytest.mark.parametrize("border", ["image", "first-order"])
def test_tiled_equals_whole_on_a_finer_grid(dense: DenseModel, border: Border) -> None:
    """Tiles begin between the cells of the network's own grid."""
    dense = dense.to(torch.float64).refine(1 if border == "image" else 2).with_border(border)
    size = (dense.grid.window_px[0] + 21, dense.grid.window_px[1] + 26)
    image = make_image(size)
    expected = score_whole(dense, image)
    for tile_px in (400, 1500):
        np.testing.assert_allclose(scan(dense, image, tile_px=tile_px).scores, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["branches_of_several_strides", "ceil_pool", "attention"])
def test_tiles_of_a_finer_grid_begin_where_the_own_grid_has_cells(name: str) -> None:
    """Of networks whose branches round, what the image's end gives depends on where it began."""
    dense = fullyconv.convert(build(name, torch.float64), ZOO[name].window).refine(1)
    sizes = [window + sum(margins) for window, margins in zip(dense.grid.window_px, dense.margins_px, strict=True)]
    image = make_image((sizes[0] + 13, sizes[1] + 18))
    got = scan(dense, image, tile_px=(sizes[0] + 9) * (sizes[1] + 11))
    np.testing.assert_allclose(got.scores, score_whole(dense, image), rtol=1e-12, atol=1e-12)


def crop(pads: list[int]) -> nn.Module:
    """Returns a network that crops a map, and pads what is left of it."""

    class Cropping(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.pad(x, pads)

    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3, 2), Cropping(), nn.Conv2d(4, 4, 3, 1, 1), nn.Tanh(), nn.Conv2d(4, 4, 3, 2, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()


@pytest.mark.parametrize("pads", [[-2, 0, 0, 0], [0, -2, 0, -1], [-1, 2, 1, -1], [0, 0, -2, -2]])
def test_tiles_see_what_padding_hides_elsewhere(pads: list[int]) -> None:
    """Where a map is cropped and padded again, a tile needs the cells that padding stands for at the image's border."""
    dense = fullyconv.convert(crop(pads).double(), (21, 24))
    for network in (dense, dense.refine(1)):
        image = make_image((63, 71))
        got = scan(network, image, tile_px=1500)
        np.testing.assert_allclose(got.scores, score_whole(network, image), rtol=1e-12, atol=1e-12)


def test_forgotten_margins_would_show(dense_with_margins: DenseModel) -> None:
    careless = dataclasses.replace(dense_with_margins, image_margins_px=((0, 0), (0, 0)))
    image = make_image((57, 71))
    expected = score_whole(dense_with_margins, image)
    np.testing.assert_allclose(scan(dense_with_margins, image, tile_px=900).scores, expected, atol=1e-5)
    assert np.abs(scan(careless, image, tile_px=900).scores - expected).max() > 1e-4


def test_one_image_crop_at_a_time_gives_the_same() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    dense = fullyconv.convert(model, window=(14, 14))
    image = make_image((25, 31))
    scores = scan(dense, image, tile_px=300).scores
    for i, j in np.ndindex(scores.shape[1:]):
        x0, y0, x1, y1 = dense.grid.box_xyxy((i, j))
        crop = torch.from_numpy(prepare(image[y0:y1, x0:x1], dense.card))[None]
        np.testing.assert_allclose(scores[:, i, j], model(crop)[0].detach(), rtol=1e-5, atol=1e-6)


def test_a_grid_that_is_not_the_networks(dense: DenseModel) -> None:
    wrong = dataclasses.replace(dense, grid=dataclasses.replace(dense.grid, stride_px=(1, 1)))
    rows, columns = wrong.grid.shape((57, 71))
    with pytest.raises(ModelError, match=rf"expected scores of shape \(1, K, {rows}, {columns}\).*, got \("):
        scan(wrong, make_image((57, 71)))


def test_progress_counts_cells(dense: DenseModel) -> None:
    calls: list[tuple[int, int]] = []
    scan(dense, make_image((57, 71)), tile_px=900, progress=lambda done, total: calls.append((done, total)))
    rows, columns = dense.grid.shape((57, 71))
    assert len(calls) > 3
    assert calls == sorted(calls)
    assert calls[-1] == (rows * columns, rows * columns)


def test_the_network_never_sees_more_than_a_tile(dense: DenseModel) -> None:
    sizes: list[int] = []
    dense.module.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[2] * args[0].shape[3]))
    scan(dense, make_image((200, 210)), tile_px=2000)
    assert max(sizes) <= 2000


@pytest.mark.parametrize(("name", "added"), [(None, 0), ("main", 0), ("others", 1), ("others.1", 2)])
def test_several_outputs(dense_with_branches: DenseModel, name: str | None, added: int) -> None:
    image = make_image((40, 62))
    whole = dense_with_branches(prepare(image, dense_with_branches.card)[None])["main"][0]
    got = scan(dense_with_branches, image, tile_px=900, output=name).scores
    np.testing.assert_allclose(got, whole + added, rtol=1e-6)


def test_unknown_output(dense_with_branches: DenseModel, dense_with_margins: DenseModel) -> None:
    message = "output 'side': the network has no such output; it has main, others"
    with pytest.raises(OptionError, match=message):
        scan(dense_with_branches, make_image((40, 62)), output="side")
    with pytest.raises(OptionError, match="it has one, without a name"):
        scan(dense_with_margins, make_image((40, 62)), output="side")


def test_outputs_of_other_ranks_become_a_list_of_scores() -> None:
    torch.manual_seed(1)
    trunk = [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()]
    one = nn.Sequential(*trunk, nn.Linear(4 * 36, 1), nn.Flatten(0)).eval()
    many = nn.Sequential(*trunk, nn.Linear(4 * 36, 6), nn.Unflatten(1, (2, 3))).eval()
    for model, outputs in [(one, 1), (many, 6)]:
        dense = fullyconv.convert(model, window=(8, 8))
        assert scan(dense, make_image((10, 12))).scores.shape == (outputs, *dense.grid.shape((10, 12)))


class Sentence(nn.Module):
    def forward(self, images: torch.Tensor) -> str:
        return "no tensor"


def test_an_output_that_is_no_tensor(dense: DenseModel) -> None:
    with pytest.raises(ModelError, match="expected the network to return tensors, got str"):
        scan(dataclasses.replace(dense, module=Sentence()), make_image((40, 62)))


def test_nan_is_never_a_score(dense: DenseModel) -> None:
    next(dense.module.parameters()).data.fill_(float("nan"))
    with pytest.raises(ModelError, match="expected scores that are numbers, got NaN"):
        scan(dense, make_image((40, 62)))


def test_images_that_do_not_suit(dense: DenseModel) -> None:
    with pytest.raises(ImageError, match="the image is smaller than the window"):
        scan(dense, make_image((40, 9)))
    with pytest.raises(ImageError, match="channels for this network of 3, got 4"):
        scan(dense, np.zeros((40, 40, 4), np.uint8))
