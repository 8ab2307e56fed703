"""The worked example: windows of 64x128 on an image of 1024x512, 403 scores, all ways equal.

The network reduces by 32, so a window has a feature map 2 wide and 4 high and the image one of 32x16; the
first fully connected layer has 4 units, the second 1 unit with a sigmoid. Its weights are random: the example
is about equal numbers and time, not about what is in the picture.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn

import fullyconv
from fullyconv.demo.timing import ThreeWays, compare_ways, relative_error, score_batched
from fullyconv.grid import Grid
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.train.networks import append_activation, worked

WINDOW = (128, 64)
IMAGE_SIZE = (512, 1024)
SEED = 2  # all 403 scores differ; with some others a few windows silence all four units


@dataclass(frozen=True, slots=True)
class Worked:
    """What the worked example measured.

    Attributes:
        comparison: times and the error against pixel crops, float32.
        crops_error_fp64: largest difference from pixel crops over the largest score, float64.
        patches_error: the same against the original head on patches of the feature map, float32.
        patches_error_fp64: the same in float64.
        feature_map: `(height, width)` of the feature map of the image, in cells.
        scores: `(Gy, Gx)`, of the converted network, float32.
        photo: the image that was scored.
    """

    comparison: ThreeWays
    crops_error_fp64: float
    patches_error: float
    patches_error_fp64: float
    feature_map: tuple[int, int]
    scores: NDArray[np.float32] = field(repr=False)
    photo: Image.Image = field(repr=False)


def run_worked(photo: Path, *, seed: int = SEED, rounds: int = 7) -> Worked:
    """Builds the network, converts it and compares the three ways on `photo`, fitted to 1024x512."""
    network, dense = make_worked(seed)
    picture = fit_photo(photo)
    image = to_input(picture)
    comparison = compare_ways(network, dense.module, image, grid=dense.grid, rounds=rounds)
    exact = copy.deepcopy(network).double()
    exact_dense = fullyconv.convert(exact, window=WINDOW)
    return Worked(
        comparison=comparison,
        crops_error_fp64=_compare_with_crops(exact, exact_dense, image.double()),
        patches_error=_compare_with_patches(network, dense, image),
        patches_error_fp64=_compare_with_patches(exact, exact_dense, image.double()),
        feature_map=_read_feature_map_size(network, image),
        scores=dense(image.numpy())[0, 0],
        photo=picture,
    )


def make_worked(seed: int) -> tuple[nn.Sequential, DenseModel]:
    """Returns the network with random weights and its converted form."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = append_activation(worked(WINDOW, 3, 1), "sigmoid").eval()
        _spread_scores(network)
    return network, fullyconv.convert(network, window=WINDOW)


def fit_photo(photo: Path) -> Image.Image:
    """Returns the photo resized and cropped to 1024x512."""
    with Image.open(photo) as opened:
        return ImageOps.fit(opened.convert("RGB"), IMAGE_SIZE[::-1], Image.Resampling.LANCZOS)


def to_input(picture: Image.Image) -> Tensor:
    """Returns `(1, 3, H, W)` float32, -1 to 1."""
    return torch.from_numpy(np.array(picture, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)[None].contiguous()


def score_patches(network: nn.Sequential, image: Tensor, grid: Grid) -> Tensor:
    """Returns `(K, Gy, Gx)`: the original head on every patch of the feature map of the whole image."""
    trunk, head = _split(network)
    features = trunk(image)
    fh, fw = grid.feature_window
    rows, columns = features.shape[-2] - fh + 1, features.shape[-1] - fw + 1
    scores = [head(features[..., i : i + fh, j : j + fw]) for i in range(rows) for j in range(columns)]
    return torch.cat(scores).reshape(rows, columns, -1).permute(2, 0, 1)


def _spread_scores(network: nn.Sequential) -> None:
    # torch's own initial weights give nearly the same score everywhere, and equal numbers would say little.
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)


def _compare_with_crops(network: nn.Sequential, dense: DenseModel, image: Tensor) -> float:
    with torch.inference_mode():
        crops = score_batched(network, image, dense.grid, batch=64)
        return relative_error(dense.module(image)[0], crops)


def _compare_with_patches(network: nn.Sequential, dense: DenseModel, image: Tensor) -> float:
    with torch.inference_mode():
        return relative_error(dense.module(image)[0], score_patches(network, image, dense.grid))


def _read_feature_map_size(network: nn.Sequential, image: Tensor) -> tuple[int, int]:
    with torch.inference_mode():
        height, width = _split(network)[0](image).shape[-2:]
    return height, width


def _split(network: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    cut = next(number for number, layer in enumerate(network) if isinstance(layer, nn.Flatten))
    return nn.Sequential(*list(network)[:cut]), nn.Sequential(*list(network)[cut:])
