"""Small classifiers that between them use every rule, with random BatchNorm statistics so that errors show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import zoo_arranging as arranging
import zoo_heads as heads
import zoo_patches
from zoo_mixing import Attention, SqueezeExcite
from zoo_norms import NORMS
from zoo_parts import Functional, conv, randomise
from zoo_statistics import STATISTICS


def plain() -> nn.Module:
    """LeNet's kind: no padding, two fully connected layers."""
    return nn.Sequential(
        conv(1, 6), nn.MaxPool2d(2), conv(6, 8), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(8 * 5 * 8, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 4),
    )  # fmt: skip


def vgg() -> nn.Module:
    """Padded, flatten of a 7x7 adaptive pool that is the identity at the window."""
    stages = [layer for i, o in ((3, 8), (8, 12)) for layer in (*conv(i, o, padding=1), nn.MaxPool2d(2, 2))]
    return nn.Sequential(
        *stages, nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten(),
        nn.Linear(12 * 49, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 16), nn.ReLU(True), nn.Linear(16, 5),
    )  # fmt: skip


def alexnet() -> nn.Module:
    """An adaptive pool of 6x6 bins over another number of cells."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d((6, 6)), nn.Flatten(), nn.Dropout(), nn.Linear(12 * 36, 16), nn.ReLU(), nn.Linear(16, 5),
    )  # fmt: skip


def binned() -> nn.Module:
    """A convolution over all bins of an adaptive pool, as VGG has in place of its first linear layer elsewhere."""
    return nn.Sequential(
        conv(3, 6), nn.MaxPool2d(2), conv(6, 8, 2), nn.AdaptiveAvgPool2d((4, 7)), nn.Conv2d(8, 9, (4, 7)), nn.ReLU(),
        nn.Conv2d(9, 9, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(9, 4),
    )  # fmt: skip


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.a = nn.Sequential(*conv(inputs, outputs, stride, 1))
        self.b = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.b(self.a(x))
        out += self.skip(x)
        return F.relu(out, inplace=True)


def resnet() -> nn.Module:
    """Residual blocks, global average pool, in-place additions."""
    return nn.Sequential(
        *conv(3, 8, 2, 1), nn.MaxPool2d(3, 2, 1), Residual(8, 8, 1), Residual(8, 12, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5),
    )  # fmt: skip


class DenseBlock(nn.Module):
    def __init__(self, channels: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(channels + i * growth), nn.ReLU(),
                          nn.Conv2d(channels + i * growth, growth, 3, padding=1, bias=False))
            for i in range(layers)
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


def densenet() -> nn.Module:
    """Concatenations, functional global pool."""
    trunk = nn.Sequential(*conv(3, 6, 2), DenseBlock(6, 4, 3), nn.AvgPool2d(2, 2), DenseBlock(18, 4, 2))
    return Functional(
        trunk, lambda m, x: m.fc(F.adaptive_avg_pool2d(F.relu(x), (1, 1)).flatten(1)), fc=nn.Linear(26, 5)
    )


class ConvNeXtBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.rand(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))
        y = self.gamma * self.down(F.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


def convnext() -> nn.Module:
    """Permutations, layer norms and linear layers on NHWC tensors, mean over two axes."""
    trunk = nn.Sequential(nn.Conv2d(3, 8, 4, 4), ConvNeXtBlock(8), nn.Conv2d(8, 12, 2, 2), ConvNeXtBlock(12))
    return Functional(trunk, lambda m, x: m.fc(m.norm(x.mean([-2, -1]))), norm=nn.LayerNorm(12), fc=nn.Linear(12, 5))


def outputs() -> nn.Module:
    """A dict of a softmax, a sigmoid of one unit and a tuple."""

    def head(m: nn.Module, x: torch.Tensor) -> Any:
        flat = x.reshape(x.size(0), -1)
        return {
            "class": m.a(flat).softmax(dim=1),
            "score": torch.sigmoid(m.b(flat)).squeeze(1),
            "more": (m.c(F.adaptive_max_pool2d(x, 1)[:, :, 0, 0]), m.d(flat).view(-1, 3, 4)),
        }

    trunk = nn.Sequential(conv(3, 6), nn.MaxPool2d(2), conv(6, 8, 2))
    flat = 8 * 6 * 10
    return Functional(trunk, head, a=nn.Linear(flat, 4), b=nn.Linear(flat, 1), c=nn.Linear(8, 3), d=nn.Linear(flat, 12))


def squeeze_excite() -> nn.Module:
    """A gate from the whole window: tier 2."""
    return nn.Sequential(
        *conv(3, 8, 2, 1), *conv(8, 8, 1, 1), SqueezeExcite(8), *conv(8, 12, 2, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 5),
    )  # fmt: skip


def attention() -> nn.Module:
    """Tokens with a class token and baked batch sizes: tier 2."""
    return nn.Sequential(nn.Conv2d(3, 8, 8, 8), Attention(8))


def flatten_order(order: tuple[int, ...]) -> nn.Module:
    """The feature map flattened after a permutation of (N, C, H, W)."""
    trunk = nn.Sequential(conv(3, 6), nn.MaxPool2d(2), conv(6, 8, 2))
    return Functional(trunk, lambda m, x: m.fc(x.permute(order).flatten(1)), fc=nn.Linear(8 * 6 * 10, 4))


def folded_norm() -> nn.Module:
    """BatchNorm1d right after the flatten folds into the linear layer; one between linear layers stays."""
    return nn.Sequential(
        conv(3, 6), nn.MaxPool2d(2), conv(6, 8, 2), nn.Flatten(), nn.BatchNorm1d(480), nn.Dropout(),
        nn.Linear(480, 12, bias=False), nn.BatchNorm1d(12), nn.PReLU(12), nn.LayerNorm(12), nn.Linear(12, 4),
    )  # fmt: skip


def position_norm() -> nn.Module:
    """A rectifier after a per-position scale: the windowed head."""
    return nn.Sequential(
        conv(3, 6), nn.MaxPool2d(2), conv(6, 8, 2), nn.Flatten(), nn.BatchNorm1d(480), nn.ReLU(), nn.Linear(480, 4)
    )


def whole_layer_norm() -> nn.Module:
    """Layer norm over the whole feature map: the windowed head."""
    return nn.Sequential(
        conv(3, 6), nn.MaxPool2d(2), conv(6, 8, 2), nn.LayerNorm([8, 6, 10]), nn.Flatten(), nn.Linear(480, 4)
    )


def adaptive_max() -> nn.Module:
    """An adaptive maximum pool of several bins, then a nonlinearity and an adaptive average pool."""
    return nn.Sequential(
        conv(3, 6),
        nn.MaxPool2d(2),
        conv(6, 8, 2),
        nn.AdaptiveMaxPool2d((3, 2)),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(48, 4),
    )


def adaptive_average() -> nn.Module:
    """An adaptive average pool that something other than a linear layer follows."""
    return nn.Sequential(
        conv(3, 6),
        nn.MaxPool2d(2),
        conv(6, 8, 2),
        nn.AdaptiveAvgPool2d((1, 3)),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(24, 4),
    )


def feature_maps() -> nn.Module:
    """Two feature maps of different strides, both pooled, joined."""

    def head(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        deep = m.more(x)
        pooled = torch.cat([x.mean((2, 3)), deep.amax((2, 3)), F.avg_pool2d(deep, deep.shape[2:]).flatten(1)], 1)
        return m.fc(F.relu(pooled))

    trunk = nn.Sequential(conv(3, 6, 2), conv(6, 6))
    return Functional(trunk, head, more=conv(6, 8, 2), fc=nn.Linear(22, 4))


class Products(nn.Module):
    """A head by hand: products with matrices, written either way round."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(conv(3, 6), nn.MaxPool2d(2), conv(6, 8, 2))
        self.first, self.second = nn.Parameter(torch.randn(480, 9) * 0.1), nn.Parameter(torch.randn(4, 9))
        self.bias = nn.Parameter(torch.randn(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.trunk(x).permute(0, 2, 3, 1).flatten(1) @ self.first)
        return torch.addmm(self.bias, hidden, self.second.t())


def products() -> nn.Module:
    return Products()


def rows_and_columns() -> nn.Module:
    """Rows and columns reduced one after the other, and rows alone before a linear layer."""

    def head(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m.a(x.amax(2).mean(2)) + m.b(x.mean(3).flatten(1))

    trunk = nn.Sequential(conv(3, 6), nn.MaxPool2d(2), conv(6, 8, 2))
    return Functional(trunk, head, a=nn.Linear(8, 4), b=nn.Linear(8 * 6, 4))


def flattened_maps() -> nn.Module:
    """Two feature maps flattened, one of them normalised by position, and a pooled one, joined before one layer."""

    def head(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m.fc(torch.cat([x.flatten(1), m.norm(m.more(x).flatten(1)), x.mean((2, 3))], 1))

    trunk = nn.Sequential(conv(3, 6, 2), conv(6, 4, 2))
    return Functional(trunk, head, more=conv(4, 5, 2), norm=nn.BatchNorm1d(40), fc=nn.Linear(240 + 40 + 4, 4))


def shuffle() -> nn.Module:
    """Channel split, grouped convolution and channel shuffle."""

    def head(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        kept, worked = x.chunk(2, dim=1)
        x = torch.cat((kept, m.grouped(worked)), 1)
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        return m.fc(m.last(x).mean([2, 3]))

    grouped = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4))
    return Functional(conv(3, 8, 2), head, grouped=grouped, last=nn.Conv2d(8, 8, 3, 2, groups=2), fc=nn.Linear(8, 4))


def ceil_pool() -> nn.Module:
    """Pools that round up where the branch beside them rounds down: images are padded to fit."""

    def head(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([F.max_pool2d(x, 3, 2, ceil_mode=True), m.beside(x)], 1)
        return m.fc(joined.mean((2, 3)))

    return Functional(conv(3, 6), head, beside=nn.Conv2d(6, 6, 2, 2), fc=nn.Linear(12, 4))


def odd_parts() -> nn.Module:
    """Slices, explicit padding, a focus stem, a learned channel scale, arithmetic with numbers."""

    def head(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)
        x = F.pad(m.a(x), (1, 0, 0, 1)) * m.scale.weight.view(1, -1, 1, 1)
        x = (2 - x[:, :, 1:-1]) / 3 + 0.1
        return F.log_softmax(m.fc(F.hardswish(x).sum((2, 3))), -1)

    return Functional(nn.Identity(), head, a=nn.Conv2d(12, 6, 3, 2), scale=nn.Embedding(1, 6), fc=nn.Linear(6, 4))


def fully_convolutional() -> nn.Module:
    """Has no fully connected layer at all; its output is (N, K, 1, 1)."""
    return nn.Sequential(conv(3, 6, 2), conv(6, 6, 2), nn.Conv2d(6, 3, (7, 11)), nn.Softmax(dim=1))


def perceptron() -> nn.Module:
    """No convolution: the first layer's kernel is the whole window."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 5, 8), nn.ReLU(), nn.Linear(8, 2))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(conv(1, 6, 2), conv(6, 6, 2))
        self.lstm = nn.LSTM(6 * 7, 8, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.trunk(x)
        return self.fc(self.lstm(x.permute(0, 3, 1, 2).flatten(2))[0][:, -1])


def recurrent() -> nn.Module:
    """A recurrent layer over columns: tier 2."""
    return Recurrent()


@dataclass(frozen=True)
class Entry:
    """One classifier and what its conversion must say."""

    make: Any
    window: tuple[int, int]
    tier: int
    guarantee: str
    stride: tuple[int, int]
    channels: int = 3


CROPS, FEATURES = "image crops", "feature windows"

ZOO = {
    "plain": Entry(plain, (26, 38), 1, CROPS, (4, 4), 1),
    "vgg": Entry(vgg, (28, 28), 1, FEATURES, (4, 4)),
    "alexnet": Entry(alexnet, (45, 61), 1, FEATURES, (4, 4)),
    "binned": Entry(binned, (28, 44), 1, CROPS, (4, 4)),
    "resnet": Entry(resnet, (32, 48), 1, FEATURES, (8, 8)),
    "densenet": Entry(densenet, (29, 37), 1, FEATURES, (4, 4)),
    "convnext": Entry(convnext, (32, 48), 1, FEATURES, (8, 8)),
    "outputs": Entry(outputs, (28, 44), 1, CROPS, (4, 4)),
    "squeeze_excite": Entry(squeeze_excite, (24, 32), 2, FEATURES, (4, 4)),
    "attention": Entry(attention, (24, 32), 2, CROPS, (8, 8)),
    "flatten_chw": Entry(lambda: flatten_order((0, 1, 2, 3)), (28, 44), 1, CROPS, (4, 4)),
    "flatten_hwc": Entry(lambda: flatten_order((0, 2, 3, 1)), (28, 44), 1, CROPS, (4, 4)),
    "flatten_whc": Entry(lambda: flatten_order((0, 3, 2, 1)), (28, 44), 1, CROPS, (4, 4)),
    "flatten_hcw": Entry(lambda: flatten_order((0, 2, 1, 3)), (28, 44), 1, CROPS, (4, 4)),
    "folded_norm": Entry(folded_norm, (28, 44), 1, CROPS, (4, 4)),
    "position_norm": Entry(position_norm, (28, 44), 2, CROPS, (4, 4)),
    "whole_layer_norm": Entry(whole_layer_norm, (28, 44), 2, CROPS, (4, 4)),
    "adaptive_max": Entry(adaptive_max, (28, 44), 1, CROPS, (4, 4)),
    "adaptive_average": Entry(adaptive_average, (28, 44), 1, CROPS, (4, 4)),
    "feature_maps": Entry(feature_maps, (27, 35), 1, CROPS, (4, 4)),
    "products": Entry(products, (28, 44), 1, CROPS, (4, 4)),
    "rows_and_columns": Entry(rows_and_columns, (28, 44), 1, CROPS, (4, 4)),
    "flattened_maps": Entry(flattened_maps, (27, 43), 1, CROPS, (8, 8)),
    "shuffle": Entry(shuffle, (24, 32), 1, FEATURES, (4, 4)),
    "ceil_pool": Entry(ceil_pool, (22, 26), 1, FEATURES, (2, 2)),
    "odd_parts": Entry(odd_parts, (22, 30), 1, FEATURES, (4, 4)),
    "fully_convolutional": Entry(fully_convolutional, (31, 47), 1, CROPS, (4, 4)),
    "perceptron": Entry(perceptron, (6, 5), 1, CROPS, (1, 1)),
    "space_to_depth": Entry(arranging.space_to_depth, (22, 26), 1, CROPS, (6, 6)),
    "depth_to_space": Entry(arranging.depth_to_space, (21, 33), 1, CROPS, (4, 4)),
    "transposed": Entry(arranging.transposed, (24, 32), 1, FEATURES, (4, 4)),
    "merged_patches": Entry(arranging.merged_patches, (16, 20), 1, CROPS, (4, 4)),
    "partitioned": Entry(arranging.partitioned, (24, 36), 2, CROPS, (4, 4)),
    "reordered_channels": Entry(arranging.reordered_channels, (23, 27), 1, CROPS, (4, 4)),
    "grouped_channels": Entry(arranging.grouped_channels, (23, 27), 1, CROPS, (4, 4)),
    "u_shaped": Entry(arranging.u_shaped, (25, 33), 1, CROPS, (8, 8)),
    "branches_of_several_strides": Entry(arranging.branches_of_several_strides, (24, 40), 1, FEATURES, (8, 8)),
    "prototypes": Entry(heads.prototypes, (23, 31), 1, CROPS, (4, 4)),
    "bilinear": Entry(heads.bilinear, (23, 31), 1, CROPS, (4, 4)),
    "smoothed": Entry(arranging.smoothed, (24, 32), 1, FEATURES, (4, 4)),
    "outlook": Entry(zoo_patches.outlook, (24, 32), 1, FEATURES, (8, 8)),
    "odd_outlook": Entry(zoo_patches.odd_outlook, (19, 27), 1, FEATURES, (4, 4)),
    "patches": Entry(zoo_patches.patches, (21, 29), 1, CROPS, (4, 4)),
    "recurrent": Entry(recurrent, (31, 39), 2, CROPS, (4, 4), 1),
    **{name: Entry(*facts) for name, facts in STATISTICS.items()},
    **{name: Entry(*kind) for name, kind in NORMS.items()},
}


def build(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Returns a classifier of the zoo, the same one each time."""
    torch.manual_seed(sum(map(ord, name)))
    return randomise(ZOO[name].make()).to(dtype)
