"""Classifiers that put rows, columns and channels elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from zoo_parts import conv


class Arranged(nn.Module):
    """A function between layers; the functions below give it what they need."""

    def __init__(self, function: Callable[..., torch.Tensor], **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleDict(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, **self.parts)


def fold_by_hand(x: torch.Tensor, size: int) -> torch.Tensor:
    """Space to depth as networks write it: cells of a block first, then channels."""
    n, c, h, w = x.shape
    x = x.view(n, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * size * size, h // size, w // size)


def unfold_by_hand(x: torch.Tensor, size: int) -> torch.Tensor:
    """Depth to space: cells of a block first, then channels."""
    n, c, h, w = x.shape
    x = x.view(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // size**2, h * size, w * size)


def space_to_depth() -> nn.Module:
    """A stem on folded pixels, a second folding by ATen's own operation, then a flatten of rows and columns."""

    def run(x: torch.Tensor, a: nn.Module, b: nn.Module, fc: nn.Module) -> torch.Tensor:
        x = F.pixel_unshuffle(F.relu(a(fold_by_hand(x, 2))), 3)
        return fc(F.relu(b(x)).flatten(1))

    return Arranged(run, a=nn.Conv2d(12, 4, (3, 2)), b=nn.Conv2d(36, 5, 2), fc=nn.Linear(5 * 2 * 3, 4))


def transposed() -> nn.Module:
    """Cells made finer by kernels as large as the stride, then by ones that overlap."""
    return nn.Sequential(
        conv(3, 6, 2), conv(6, 8, 2), nn.ConvTranspose2d(8, 6, 2, 2), nn.BatchNorm2d(6), nn.ReLU(),
        nn.ConvTranspose2d(6, 4, 3, 2, 1, 1, groups=2), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(140, 4),
    )  # fmt: skip


def depth_to_space() -> nn.Module:
    """Finer maps, by hand and by ATen's own operation, pooled at strides of their own."""

    def run(x: torch.Tensor, a: nn.Module, b: nn.Module, fc: nn.Module) -> torch.Tensor:
        x = F.max_pool2d(unfold_by_hand(F.relu(a(x)), 2), 3, 1)
        x = F.pixel_shuffle(F.relu(b(x)), 2)
        return fc(x.mean((2, 3)))

    return Arranged(run, a=nn.Conv2d(3, 16, 5, 4), b=nn.Conv2d(4, 12, 3, 2), fc=nn.Linear(3, 4))


def merged_patches() -> nn.Module:
    """Patch embedding of flattened pixels and patch merging, channels last: a network of linear layers."""

    def run(
        x: torch.Tensor, embed: nn.Module, norm: nn.Module, merge: nn.Module, out: nn.Module, fc: nn.Module
    ) -> torch.Tensor:
        n, c, h, w = x.shape
        x = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1).flatten(1, 2).flatten(2)
        x = F.gelu(embed(x)).reshape(n, h // 2, w // 2, -1)
        x = x.reshape(n, h // 4, 2, w // 4, 2, x.shape[-1]).permute(0, 1, 3, 4, 2, 5).flatten(3)
        return fc(out(merge(norm(x))).mean((1, 2)))

    parts = {"embed": nn.Linear(12, 6), "norm": nn.LayerNorm(24), "merge": nn.Linear(24, 8), "out": nn.GELU()}
    return Arranged(run, **parts, fc=nn.Linear(8, 4))


def partitioned() -> nn.Module:
    """Attention within windows of 3x3 cells, then patch merging: tier 2, and no coarser than the merging."""

    def attend(x: torch.Tensor, qkv: nn.Module) -> torch.Tensor:
        n, h, w, c = x.shape
        parts = x.view(n, h // 3, 3, w // 3, 3, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 9, c)
        q, k, v = qkv(parts).reshape(-1, 9, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, 9, c)
        return mixed.view(n, h // 3, w // 3, 3, 3, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)

    def run(x: torch.Tensor, stem: nn.Module, qkv: nn.Module, merge: nn.Module, fc: nn.Module) -> torch.Tensor:
        x = stem(x).permute(0, 2, 3, 1)
        x = x + attend(x, qkv)
        n, h, w, c = x.shape
        x = x.reshape(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).flatten(3)
        return fc(F.gelu(merge(x)).mean((1, 2)))

    parts = {"stem": nn.Conv2d(3, 8, 2, 2), "qkv": nn.Linear(8, 24), "merge": nn.Linear(32, 8)}
    return Arranged(run, **parts, fc=nn.Linear(8, 4))


def reordered_channels() -> nn.Module:
    """Colours in another order, channels stacked, repeated, rolled, flipped, shuffled, gathered, summed up."""

    def run(x: torch.Tensor, a: nn.Module, b: nn.Module, fc: nn.Module) -> torch.Tensor:
        x = a(x[:, [2, 1, 0]])
        x = torch.stack([x, x.relu(), -x], 2).sum(2) + x.roll(1, 1) * x.flip(1)
        first, second = x.unflatten(1, (2, 3)).unbind(1)
        x = torch.cat([first.repeat(1, 2, 1, 1), second.repeat_interleave(2, 1), second.cumsum(1)], 1)
        x = F.glu(b(F.channel_shuffle(x, 3)), 1)
        index = torch.tensor([3, 0, 0])
        pooled = x.amax((2, 3)).index_select(1, index)
        return fc(torch.cat([pooled.tile(1, 2), pooled.gather(1, index.expand(len(x), -1) // 2)], 1))

    return Arranged(run, a=nn.Conv2d(3, 6, 3, 2), b=nn.Conv2d(15, 8, 3, 2), fc=nn.Linear(9, 4))


def grouped_channels() -> nn.Module:
    """Maxout, softmax and layer norm of groups of channels, group norm of the pooled vector, a softmax by group."""

    def run(x: torch.Tensor, a: nn.Module, b: nn.Module, n: nn.Module, norm: nn.Module, fc: nn.Module) -> torch.Tensor:
        x = a(x[:, :1].expand(-1, 3, -1, -1))
        x = x.view(x.shape[0], 4, 3, *x.shape[2:]).amax(2)
        x = b(torch.cat([x, x.unflatten(1, (2, 2)).softmax(1).flatten(1, 2)], 1))
        x = n(x.unflatten(1, (2, 4)).movedim(2, -1)).movedim(-1, 2).flatten(1, 2)
        pooled = norm(x.mean((2, 3)))
        return fc(pooled).unflatten(1, (2, 3)).softmax(2).flatten(1)

    parts = {"a": nn.Conv2d(3, 12, 3, 2), "b": nn.Conv2d(8, 8, 3, 2), "n": nn.LayerNorm(4), "norm": nn.GroupNorm(2, 8)}
    return Arranged(run, **parts, fc=nn.Linear(8, 6))


def u_shaped() -> nn.Module:
    """Down by two and up again, joined and added, without padding: windows lie where the coarsest cells do."""

    def run(x: torch.Tensor, a: nn.Module, b: nn.Module, c: nn.Module, d: nn.Module, fc: nn.Module) -> torch.Tensor:
        x = F.relu(a(x))
        deep = F.relu(b(x))
        deep = deep + F.interpolate(F.relu(c(deep)), scale_factor=2.0, mode="nearest")
        x = torch.cat([x, F.interpolate(deep, size=x.shape[2:], mode="nearest-exact")], 1)
        return fc(F.relu(d(x)).mean((2, 3)))

    parts = {"a": nn.Conv2d(3, 5, 3, 2), "b": nn.Conv2d(5, 6, 2, 2), "c": nn.Conv2d(6, 6, 2, 2)}
    return Arranged(run, **parts, d=nn.Conv2d(11, 7, 3, 2), fc=nn.Linear(7, 4))


def branches_of_several_strides() -> nn.Module:
    """High-resolution networks' kind: padded branches of three strides, each added to the others."""

    def run(x: torch.Tensor, **parts: nn.Module) -> torch.Tensor:
        fine = F.relu(parts["stem"](x))
        middle = F.relu(parts["down"](fine))
        coarse = F.relu(parts["deep"](middle))
        up = F.interpolate(parts["from_middle"](middle), scale_factor=2, mode="nearest")
        mixed = F.relu(fine + up + F.interpolate(parts["from_coarse"](coarse), scale_factor=4, mode="nearest"))
        smooth = F.relu(middle + F.interpolate(parts["smooth"](coarse), scale_factor=2, mode="bilinear"))
        joined = F.relu(parts["last"](mixed)) + smooth
        return parts["fc"](torch.cat([joined.amax((2, 3)), coarse.mean((2, 3))], 1))

    return Arranged(
        run,
        stem=nn.Conv2d(3, 5, 3, 2, 1), down=nn.Conv2d(5, 6, 3, 2, 1), deep=nn.Conv2d(6, 7, 3, 2, 1),
        from_middle=nn.Conv2d(6, 5, 1), from_coarse=nn.Conv2d(7, 5, 1), smooth=nn.Conv2d(7, 6, 1),
        last=nn.Conv2d(5, 6, 3, 2, 1), fc=nn.Linear(13, 4),
    )  # fmt: skip


def smoothed() -> nn.Module:
    """A decoder by bicubic interpolation, flattened."""

    def run(x: torch.Tensor, a: nn.Module, b: nn.Module, fc: nn.Module) -> torch.Tensor:
        x = F.interpolate(F.relu(a(x)), scale_factor=2, mode="bicubic")
        return fc(F.relu(b(x)).flatten(1))

    return Arranged(run, a=nn.Conv2d(3, 5, 4, 4), b=nn.Conv2d(5, 6, 3, 2), fc=nn.Linear(6 * 5 * 7, 4))
