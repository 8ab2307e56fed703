"""Finer grids: every finer score is that of the image from its pixel on, and the coarse ones are among them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import fullyconv
from fullyconv import DenseModel
from fullyconv.capture.footprint import LargestOperation
from fullyconv.errors import ModelError, OptionError
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.refined import list_steps
from zoo import ZOO, build

REFINED = [name for name, entry in ZOO.items() if max(entry.stride) > 1]


def convert(name: str) -> DenseModel:
    return fullyconv.convert(build(name, torch.float64), ZOO[name].window)


def draw(dense: DenseModel) -> Tensor:
    """Returns an image of three windows and rest pixels, which differ in y and x."""
    (height, width), (sy, sx) = dense.grid.window_px, dense.grid.stride_px
    size = (height + 2 * sy + sy // 2 + 1, width + 2 * sx + sx - 1)
    return torch.randn(1, dense.card.channels, *size, dtype=dense_dtype(dense))


def dense_dtype(dense: DenseModel) -> torch.dtype:
    return next(value.dtype for value in dense.module.state_dict().values() if value.is_floating_point())


def list_strides(dense: DenseModel) -> list[tuple[int, int]]:
    """Returns a finer one, the finest, and the finest along one axis only."""
    assert isinstance(dense.module, DenseModule)
    rows, columns = list_steps(dense.module.program)
    return sorted({(rows[1], columns[1]), (rows[-1], columns[-1]), (rows[-1], columns[0]), (rows[0], columns[-1])})


def run(dense: DenseModel, image: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return tree_leaves(dense(image))


def check_close(found: list[Tensor], wanted: list[Tensor]) -> None:
    for a, b in zip(found, wanted, strict=True):
        scale = float(b.abs().max()) if b.numel() else 1.0
        assert a.shape == b.shape
        assert not b.numel() or float((a.double() - b.double()).abs().max()) <= 1e-12 * scale


def sees_the_same(dense: DenseModel, cell: tuple[int, int], shift: tuple[int, int], size: tuple[int, int]) -> bool:
    """Returns whether a window, by its pixel, has no border in sight that a shifted image has elsewhere."""
    return all(
        not begin or (start - before >= begin and start + window + after <= length)
        for start, begin, window, (before, after), length in zip(
            cell, shift, dense.grid.window_px, dense.margins_px, size, strict=True
        )
    )


@pytest.mark.parametrize("name", REFINED)
def test_finer_scores_are_those_of_shifted_images(name: str) -> None:
    dense = convert(name)
    image, own = draw(dense), dense.grid.stride_px
    size = (image.shape[2], image.shape[3])
    for stride in list_strides(dense):
        fine = run(dense.refine(stride), image)
        for top, left in itertools.product(range(0, own[0], stride[0]), range(0, own[1], stride[1])):
            shifted = run(dense, image[:, :, top:, left:])
            for all_, some in zip(fine, shifted, strict=True):
                mine = all_[..., top // stride[0] :: own[0] // stride[0], left // stride[1] :: own[1] // stride[1]]
                assert mine.shape == some.shape
                cells = [
                    (i, j)
                    for i, j in np.ndindex(*mine.shape[-2:])
                    if sees_the_same(dense, (top + i * own[0], left + j * own[1]), (top, left), size)
                ]
                assert cells or top or left
                if cells:
                    i, j = map(list, zip(*cells, strict=True))
                    check_close([mine[..., i, j]], [some[..., i, j]])


@pytest.mark.parametrize("name", REFINED)
def test_coarse_scores_are_among_the_finer_ones(name: str) -> None:
    """At the border too."""
    dense = convert(name)
    image, own = draw(dense), dense.grid.stride_px
    for stride in list_strides(dense):
        fine = run(dense.refine(stride), image)
        check_close([map_[..., :: own[0] // stride[0], :: own[1] // stride[1]] for map_ in fine], run(dense, image))


@pytest.mark.parametrize("name", ["resnet", "squeeze_excite", "ceil_pool", "depth_to_space", "outputs", "attention"])
def test_groups_of_fragments_give_the_same(name: str) -> None:
    dense = convert(name).refine(1)
    image = draw(dense)
    together = run(dense, image)
    for size in (1, 20_000):
        check_close(run(dense.with_fragment_memory(size), image), together)
    with pytest.raises(OptionError, match="fragment memory: expected at least 1 byte, got 0"):
        dense.with_fragment_memory(0)


def test_groups_of_fragments_bound_the_memory() -> None:
    """Of the deeper maps, of which all fragments together are as large as the image is, only a few are there."""
    layers = [nn.Conv2d(1, 2, 2, 2), nn.Conv2d(2, 8, 2, 2), nn.Conv2d(8, 64, 1), nn.Flatten(), nn.Linear(1024, 1)]
    dense = fullyconv.convert(nn.Sequential(*layers).eval(), (16, 16)).refine(1)
    image, largest = torch.randn(1, 1, 80, 80), []
    for size in (1 << 30, 1):
        module = dense.with_fragment_memory(size).module
        with LargestOperation(module) as watch, torch.no_grad():
            module(image)
        largest.append(watch.bytes)
    assert largest[1] < largest[0] / 3


def test_every_pixel_of_an_unpadded_network_is_its_crop() -> None:
    """Stride 1 on an image of 160 x 200 pixels: all windows, against the classifier itself."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 2), nn.AvgPool2d(2, 1), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 2)).eval().double()
    image = torch.randn(1, 1, 160, 200, dtype=torch.float64)
    dense = fullyconv.convert(model, (13, 17)).refine(1)
    with torch.no_grad():
        crops = image.unfold(2, 13, 1).unfold(3, 17, 1).flatten(0, 1).permute(1, 2, 0, 3, 4).reshape(-1, 1, 13, 17)
        wanted = model(crops).reshape(1, 148, 184, 2).permute(0, 3, 1, 2)
        assert float((dense(image) - wanted).abs().max()) < 1e-12


def test_one_window_is_one_window() -> None:
    dense = convert("resnet")
    image = torch.randn(2, dense.card.channels, *dense.grid.window_px, dtype=torch.float64)
    check_close(run(dense.refine(1), image), run(dense, image))


def test_strides_that_the_network_does_not_allow() -> None:
    dense = convert("resnet")
    expected = r"stride: expected 8, 4, 2 or 1 pixels across and 8, 4, 2 or 1 down, .* got 8x3 \(across x down\)"
    for stride in ((3, 8), (16, 3), (0, 1)):
        with pytest.raises(OptionError, match=expected if stride == (3, 8) else "stride: expected 8, 4, 2 or 1 pixels"):
            dense.refine(stride)
    with pytest.raises(OptionError, match=r"stride: expected \(y, x\) in whole pixels, got \(2.5, 2\)"):
        dense.refine((2.5, 2))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="stride: expected at least 1 pixel"):
        fullyconv.convert(build("resnet"), ZOO["resnet"].window, stride=(8, 0))


def test_networks_say_what_they_can_be_refined_to() -> None:
    assert convert("resnet").possible_strides_px == ((8, 4, 2, 1), (8, 4, 2, 1))
    assert convert("resnet").refine(2).possible_strides_px == ((8, 4, 2, 1), (8, 4, 2, 1))
    assert convert("space_to_depth").possible_strides_px == ((6, 2, 1), (6, 2, 1))


def test_conversion_refines_along_one_axis_and_leaves_out_along_the_other() -> None:
    model, entry = build("resnet", torch.float64), ZOO["resnet"]
    mixed = fullyconv.convert(model, entry.window, stride=(2, 16))
    fine = fullyconv.convert(model, entry.window).refine((2, 8))
    image = draw(fullyconv.convert(model, entry.window))
    assert mixed.grid.stride_px == (2, 16) and mixed.own_stride_px == (8, 16)
    check_close(run(mixed, image), [map_[..., ::2] for map_ in run(fine, image)])


@pytest.mark.parametrize("name", ["resnet", "squeeze_excite"])
def test_refined_networks_are_saved_and_refined_again(name: str, tmp_path) -> None:
    dense = convert(name)
    stride = list_strides(dense)[0]
    dense.refine(stride).save(tmp_path / "fine.pt2")
    loaded = fullyconv.load(tmp_path / "fine.pt2")
    image = draw(dense)
    assert loaded.grid.stride_px == stride
    check_close(run(loaded, image), run(dense.refine(stride), image))
    check_close(run(loaded.refine(dense.grid.stride_px), image), run(dense, image))


@pytest.mark.parametrize("border", ["first-order", "window"])
def test_refined_borders_have_the_coarse_scores_among_theirs(border) -> None:
    dense = convert("vgg").with_border(border)
    image = draw(dense)
    fine = dense.refine(2)
    assert fine.card.border == border
    check_close([map_[..., ::2, ::2] for map_ in run(fine, image)], run(dense, image))


def test_a_finer_grid_is_not_compiled_and_says_so() -> None:
    dense = convert("plain")
    message = "torch-compiled: expected a network on its own grid, got a finer one; choose another runtime"
    with pytest.raises(ModelError, match=message):
        dense.refine(2).on("torch-compiled")
    with pytest.raises(ModelError, match=message):
        dense.on("torch-compiled").refine(2)
    image = draw(dense)
    check_close(run(dense.refine(2).on("torch-channels-last"), image), run(dense.refine(2), image))


def test_crops_lie_anywhere() -> None:
    class Deciding(nn.Module):
        """Cannot be followed."""

        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) if x.sum() > 1e9 else x.amax((2, 3))

    dense = fullyconv.convert(Deciding(), (6, 8), channels=2)
    assert isinstance(dense.module, CropModule)
    image = torch.randn(1, 2, 9, 13)
    assert torch.equal(dense.refine((3, 2))(image), dense.refine(1)(image)[..., ::3, ::2])
    assert dense.with_fragment_memory(9) is dense  # there are none
    with pytest.raises(OptionError, match="stride: expected at least 1 pixel, got 1x0"):
        dense.refine((0, 1))


def test_an_average_that_rounds_up_counts_what_it_covers() -> None:
    """Kernels beyond the end, with padding that counts and with padding that does not."""
    for counts, divisor in itertools.product((True, False), (None, 5)):
        pool = nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=counts, divisor_override=divisor)
        model = nn.Sequential(nn.Conv2d(1, 3, 2), pool, nn.Flatten(), nn.Linear(3 * 5 * 6, 2)).eval().double()
        dense = fullyconv.convert(model, (9, 11))
        image = torch.randn(1, 1, 17, 22, dtype=torch.float64)
        fine = run(dense.refine(1), image)
        check_close([map_[..., ::2, ::2] for map_ in fine], run(dense, image))
        shifted = run(dense, image[:, :, 1:, 1:])
        check_close([fine[0][..., 3:-3:2, 3:-4:2]], [shifted[0][..., 1:-1, 1:-2]])
