"""Strides of what runs on windows, estimated from shapes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from fullyconv.analyze.factors import Kind
from fullyconv.analyze.nominal import Nominal, Part, follow, make_nominal
from fullyconv.graph import (
    Conv,
    Dense,
    DepthToSpace,
    Node,
    Opaque,
    Operation,
    Permute,
    Regroup,
    Shape,
    SpaceToDepth,
    Upsample,
    Value,
    WindowPool,
)
from fullyconv.patches import Overlap, Patches
from planning import plan_between, pooled
from zoo_arranging import fold_by_hand

MAP: Shape = (2, 6, 8, 12)


def run(op: Operation, known: Nominal, before: Shape, after: Shape) -> Nominal:
    node = Node("n", op, ("x",), (Value("y", after, "float32"),), "aten.n", "", 0)
    return follow(node, {"x": known}, {"x": before})


def test_a_partition_and_its_reverse() -> None:
    """Blocks spread over the batch keep their cells' stride, and come together again as the rows that they were."""
    start = make_nominal(MAP, (4, 4))
    shapes: list[Shape] = [MAP, (2, 6, 2, 4, 3, 4), (2, 2, 3, 4, 4, 6), (12, 16, 6)]
    split = run(Regroup(), start, shapes[0], shapes[1])
    assert split.stride == (4, 4)
    parts = run(Regroup(), run(Permute((0, 2, 4, 3, 5, 1)), split, shapes[1], shapes[2]), shapes[2], shapes[3])
    assert parts.stride == (4, 4)
    mixed = run(Opaque(), parts, shapes[3], shapes[3])
    back = run(Permute((0, 5, 1, 3, 2, 4)), run(Regroup(), mixed, shapes[3], shapes[2]), shapes[2], shapes[1])
    assert run(Regroup(), back, shapes[1], MAP) == start


def test_patches_as_columns_and_back() -> None:
    """Columns hold the cells of the map and lie at the steps of the kernel; a layer over whole columns leaves those."""
    start, patches = make_nominal(MAP, (4, 4)), Patches((3, 2), (1, 1), (1, 0), (2, 3))
    columns = run(patches, start, MAP, (2, 36, 16))
    assert columns.stride == (4, 4)
    assert columns.axes is not None
    assert columns.axes[2] == (Part(4, Kind.Y, 8), Part(4, Kind.X, 12))
    tokens = run(Permute((0, 2, 1)), columns, (2, 36, 16), (2, 16, 36))
    assert run(Dense(), tokens, (2, 16, 36), (2, 16, 7)).stride == (8, 12)
    assert run(Overlap(patches, (8, 12)), columns, (2, 36, 16), MAP) == start
    assert run(patches, Nominal((4, 4)), MAP, (2, 36, 16)) == Nominal((4, 4))


def test_blocks_that_a_layer_reads_are_a_stride() -> None:
    """Two cells of 4 pixels become one of 8 once a layer has mixed them."""
    start = make_nominal(MAP, (4, 4))
    split = run(Regroup(), start, MAP, (2, 6, 4, 2, 12))
    reduced = run(
        Opaque(), run(Permute((0, 2, 4, 1, 3)), split, (2, 6, 4, 2, 12), (2, 4, 12, 6, 2)), MAP, (2, 4, 12, 5)
    )
    assert split.stride == (4, 4) and reduced == Nominal((4, 4))  # what is not known does not spread the windows
    assert run(SpaceToDepth((2, 3)), start, MAP, (2, 36, 4, 4)).stride == (8, 12)


def test_an_uneven_reshape_is_not_known() -> None:
    assert run(Regroup(), make_nominal(MAP, (1, 1)), MAP, (2, 9, 64)) == Nominal((1, 1))
    assert make_nominal((2, 5), (3, 3)).axes is None
    assert Part(4, Kind.Y, 2).size == 4


@pytest.mark.parametrize(
    ("op", "size", "stride"),
    [
        (Conv((2, 2), ((1, 1), (1, 1)), (1, 1), 1), 1, 16),  # one cell cannot shrink
        (Conv((2, 2), ((1, 1), (1, 1)), (1, 1), 1), 2, 32),
        (WindowPool("max", (2, 2), (2, 2)), 2, 32),
        (WindowPool("average", (2, 2), (2, 2)), 2, 16),  # a global pool
        (WindowPool("average", (2, 2), (2, 2)), 3, 32),
        (WindowPool("average", (320, 320), (320, 320), ceil_mode=True), 3, 16),
    ],
)
def test_a_step_beyond_the_map_is_none(op: Operation, size: int, stride: int) -> None:
    before = (2, 6, size, size)
    assert run(op, make_nominal(before, (16, 16)), before, (2, 6, 1, 1)).stride == (stride, stride)


def test_slices_count_on_windows() -> None:
    """Merging by every other row and column, channels last, as in the first window transformers."""

    def merge(x: torch.Tensor, d: nn.Module) -> torch.Tensor:
        x = (x * pooled(x)[:, :, None, None]).permute(0, 2, 3, 1)  # from here on windows
        rows = [x[:, 0::2], x[:, 1::2]]
        x = torch.cat([part for row in rows for part in (row[:, :, 0::2], row[:, :, 1::2])], -1)
        return d(x).mean((1, 2))

    plan = plan_between(merge, 5, d=nn.Linear(24, 5))
    assert plan.tier == 2 and plan.grid.stride_px == (4, 4)


def test_a_convolution_reads_the_cells_of_a_block_at_once() -> None:
    def fold(x: torch.Tensor, c: nn.Module) -> torch.Tensor:
        x = x * pooled(x)[:, :, None, None]
        return pooled(c(fold_by_hand(x, 2)).relu())

    plan = plan_between(fold, 5, c=nn.Conv2d(24, 5, 2, 2))
    assert plan.tier == 2 and plan.grid.stride_px == (8, 8)


def test_a_second_merging_adds_up() -> None:
    def merge(x: torch.Tensor, d: nn.Module) -> torch.Tensor:
        x = x * pooled(x)[:, :, None, None]
        x = d(fold_by_hand(x[:, :, :, :4], 2).movedim(1, -1)).reshape(-1, 4 * 2, 6)
        return d(x.view(-1, 2, 2, 1, 2, 6).permute(0, 1, 3, 2, 4, 5).flatten(3)).mean((1, 2))

    plan = plan_between(merge, 6, d=nn.Linear(24, 6))
    assert plan.tier == 2 and plan.grid.stride_px == (8, 4)  # one column was left before the second


def test_each_part_of_a_split_has_its_own_channels() -> None:
    """Keys with fewer channels than queries, flattened and brought back, keep the cells of their map."""

    def mix(x: torch.Tensor, d: nn.Module) -> torch.Tensor:
        query, key = x.split([4, 2], 1)
        query, key = query.flatten(2), key.flatten(2).softmax(2)  # from here on windows
        mixed = key.transpose(1, 2) @ (key @ query.transpose(1, 2))
        return pooled(d(mixed.transpose(1, 2).unflatten(2, (8, 6))))

    plan = plan_between(mix, 5, d=nn.Conv2d(4, 5, 2, 2))
    assert plan.tier == 2 and plan.grid.stride_px == (4, 4)


@pytest.mark.parametrize(
    "take", [lambda x: x.select(1, 1), lambda x: x.unbind(1)[1], lambda x: x[:, 1:2].flatten(1, 2)]
)
def test_one_of_several_folded_maps(take: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Blocks of each plane on its own, as a cosine transform of blocks has them, then a layer on one of the planes."""

    def fold(x: torch.Tensor, c: nn.Module) -> torch.Tensor:
        x = x * pooled(x)[:, :, None, None]
        n, channels, h, w = x.shape
        blocks = x.view(n, channels, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
        return pooled(c(take(blocks.reshape(n, channels, 4, h // 2, w // 2))))

    plan = plan_between(fold, 5, c=nn.Conv2d(4, 5, 2))
    assert plan.tier == 2 and plan.grid.stride_px == (4, 4)


def test_more_cells_lie_closer() -> None:
    before = (2, 4, 4, 6)
    finer = run(DepthToSpace((2, 1)), make_nominal(before, (8, 8)), before, (2, 2, 8, 6))
    assert finer == make_nominal((2, 2, 8, 6), (4, 8))
    assert run(Upsample("nearest", (2, 4)), make_nominal(before, (8, 8)), before, (2, 4, 8, 24)).stride == (4, 2)
    assert run(Upsample("linear", None), make_nominal(before, (8, 8)), before, (2, 4, 6, 9)).stride == (8, 8)
