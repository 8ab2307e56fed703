"""What a finer grid costs: crops, shift-and-stitch, dilation and fragments, from stride 32 to 1.

    python benchmarks/refine.py [compact vgg resnet] [--strides 32 8 1] [--rounds 5]

Four ways to the same scores of one image, run in turn in one process; medians over the rounds. A way whose run would
take long runs on a part of its work, and its time is multiplied; the table says so. Crops: the classifier on batches of
64. Shift-and-stitch: the network with its own stride on every shift of the image. Dilation: every strided operation
without its stride, everything after it dilated. Fragments: `DenseModel.refine`. Operations are counted by torch. The
bound: the operations that fragments need, at the rate at which the network with its own stride runs on an image with as
many windows, as far as that is feasible: on one of 1024 pixels a side.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from statistics import median

import torch
from memory import watch_growth
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import fullyconv
from fullyconv import DenseModel
from fullyconv.train.networks import compact

_WINDOW, _IMAGE, _LARGE = (64, 64), (160, 200), 1024
_BATCH = 64
_SHARE = 64  # crops or shifts run at most; the rest is multiplied


class Block(nn.Module):
    """A residual block."""

    def __init__(self, channels: int, outputs: int, stride: int) -> None:
        """Makes one that changes the channels or the stride by a 1x1 convolution beside."""
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        beside = nn.Sequential(nn.Conv2d(channels, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.beside = nn.Identity() if stride == 1 and channels == outputs else beside

    def forward(self, x: Tensor) -> Tensor:
        """Returns `(N, outputs, H', W')`."""
        return F.relu(self.second(F.relu(self.first(x))) + self.beside(x))


def make_compact() -> nn.Module:
    """Returns the network that `fullyconv train` makes, which does not pad."""
    return compact(_WINDOW, 3, 2)


def make_vgg() -> nn.Module:
    """Returns ten padded 3x3 convolutions in five stages with max pools, and two fully connected layers."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (32, 64, 128, 128, 128):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 4, 128), nn.ReLU(), nn.Linear(128, 10))


def make_resnet() -> nn.Module:
    """Returns ResNet-18's layers with half its channels."""
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 7, 2, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    channels = 32
    for width, stride in ((32, 1), (64, 2), (128, 2), (256, 2)):
        layers += [Block(channels, width, stride), Block(width, width, 1)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


NETWORKS: dict[str, Callable[[], nn.Module]] = {"compact": make_compact, "vgg": make_vgg, "resnet": make_resnet}


def make_convolutional(module: nn.Module, cells: int) -> nn.Sequential:
    """Returns the network by hand, with a head of convolutions for a map of `cells` x `cells`, which can be dilated."""
    layers: list[nn.Module] = []
    size, image_type = cells, next(module.parameters()).dtype
    for layer in copy.deepcopy(module).children():
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            channels = layers[-1].second[0].out_channels
            pool = nn.Conv2d(channels, channels, size, groups=channels, bias=False).to(image_type)
            nn.init.constant_(pool.weight, 1 / size**2)
            layers.append(pool)
            size = 1
        elif isinstance(layer, nn.Linear):
            conv = nn.Conv2d(layer.in_features // size**2, layer.out_features, size).to(image_type)
            conv.load_state_dict({"weight": layer.weight.view_as(conv.weight), "bias": layer.bias})
            layers.append(conv)
            size = 1
        elif not isinstance(layer, nn.Flatten | nn.Dropout):
            layers.append(layer)
    return nn.Sequential(*layers).eval()


def dilate(dense: nn.Module, stride: int) -> nn.Module:
    """Returns a copy whose scores lie `stride` pixels apart: what makes cells coarser than that is dilated instead."""
    reached = 1  # pixels between cells, with strides
    kept = 1  # the same as the copy has them

    def widen(layer: nn.Module) -> nn.Module:
        nonlocal reached, kept
        if isinstance(layer, Block):
            before = reached, kept
            layer.first = widen(layer.first)
            after = reached, kept
            reached, kept = before
            layer.beside = widen(layer.beside)
            reached, kept = after
            layer.second = widen(layer.second)
        elif isinstance(layer, nn.Sequential):
            for name, inner in layer.named_children():
                setattr(layer, name, widen(inner))
        elif isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            own = layer.stride if isinstance(layer.stride, int) else layer.stride[0]
            by = reached // kept
            pad = layer.padding if isinstance(layer.padding, int) else layer.padding[0]
            layer.padding, layer.dilation = (pad * by, pad * by), (by, by)
            left = max(1, min(own, stride // kept)) if reached == kept else 1
            layer.stride = (left, left)
            if isinstance(layer, nn.MaxPool2d) and pad:  # of at most half a kernel, which is not known to be dilated
                sides, layer.padding = 4 * [pad * by], 0
                layer = nn.Sequential(nn.ConstantPad2d(sides, float("-inf")), layer)
            reached, kept = reached * own, kept * left
        return layer

    return widen(copy.deepcopy(dense))


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the scores of an image.

    Attributes:
        name: what it is called.
        run: does a part of the work.
        share: which part.
    """

    name: str
    run: Callable[[], object]
    share: float = 1.0


def list_ways(module: nn.Module, dense: DenseModel, image: Tensor, stride: int) -> list[Way]:
    """Returns the ways to the scores at a stride."""
    fine = dense.refine(stride)
    own = dense.grid.stride_px[0]
    rows, columns = fine.grid.shape((image.shape[2], image.shape[3]))
    boxes = [fine.grid.box_xyxy(cell) for cell in product(range(rows), range(columns))][: _BATCH * 2]
    crops = torch.cat([image[:, :, y0:y1, x0:x1] for x0, y0, x1, y1 in boxes])
    shifts = list(product(range(0, own, stride), repeat=2))
    some = shifts[:: max(1, len(shifts) // _SHARE)]
    flat = dilate(make_convolutional(module, dense.grid.feature_window[0]), stride)
    return [
        Way("crops", lambda: [module(part) for part in crops.split(_BATCH)], len(crops) / (rows * columns)),
        Way("shifts", lambda: [dense.module(image[:, :, y:, x:]) for y, x in some], len(some) / len(shifts)),
        Way("dilation", lambda: flat(image)),
        Way("fragments", lambda: fine.module(image)),
    ]


def main() -> None:
    """Prints a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--strides", type=int, nargs="*", default=[32, 16, 8, 4, 2, 1])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    image = torch.randn(1, 3, *_IMAGE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for name in options.names:
            torch.manual_seed(0)
            module = NETWORKS[name]().eval()
            dense = fullyconv.convert(module, _WINDOW)
            print(f"\n{name}, window {_WINDOW}, image {_IMAGE}, own stride {dense.grid.stride_px[0]}")
            print("stride     way           seconds   share   times fragments   GFLOP   GFLOP/s   memory MB")
            for stride in options.strides:
                if stride <= dense.grid.stride_px[0]:
                    print_ways(module, dense, image, stride, options.rounds)


def print_ways(module: nn.Module, dense: DenseModel, image: Tensor, stride: int, rounds: int) -> None:
    """Prints a line for each way at one stride, and the bound."""
    ways = list_ways(module, dense, image, stride)
    large = torch.randn(1, 3, _LARGE, _LARGE)
    ways.append(Way("rate", lambda: dense.module(large)))
    flops = {way.name: count(way.run) / way.share for way in ways}
    memory = {way.name: measure_memory(way.run) for way in ways}
    seconds: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            start = time.perf_counter()
            way.run()
            seconds[way.name].append((time.perf_counter() - start) / way.share)
    took = {name: median(values) for name, values in seconds.items()}
    base, least = took["fragments"], flops["fragments"]
    for way in ways[:-1]:
        name, work = way.name, flops[way.name]
        figures = f"{took[name]:10.3f} {way.share:7.3f} {took[name] / base:17.2f} {work / 1e9:7.1f}"
        print(f"{stride:6}     {name:10} {figures} {work / took[name] / 1e9:9.0f} {memory[name] / 1e6:11.0f}")
    rate = flops["rate"] / took["rate"]
    times = base / (least / rate)
    print(f"{stride:6}     bound      {least / rate:10.3f}   {times:.2f} of it, at {rate / 1e9:.0f} GFLOP/s")
    more = ", ".join(f"{name} {flops[name] / least:.1f}" for name in ("crops", "shifts", "dilation"))
    print(f"           arithmetic beside that of fragments: {more}")


def count(run: Callable[[], object]) -> int:
    """Returns the operations of a run, as torch counts them: convolutions and products."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def measure_memory(run: Callable[[], object]) -> int:
    """Returns what a run takes at its peak, in bytes."""
    with watch_growth() as growth:
        run()
    return growth.bytes


if __name__ == "__main__":
    main()
