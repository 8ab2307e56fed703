"""Padding of fragments of several sizes in one tensor, against torch's own on each fragment alone."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch.nn import functional as F

from fullyconv.analyze.geometry import Sliding
from fullyconv.refine.edges import Edge
from fullyconv.refine.stacks import Along, Stack, Stacking
from fullyconv.rewrite.traced_algebra import TracedAlgebra

STACKING = Stacking(TracedAlgebra(), (1, 1))
IMAGES, CHANNELS = 2, 3


def make_along(size: int, counts: list[int] | None) -> Along[torch.Tensor]:
    real = None if counts is None else torch.tensor(counts)
    return Along(1 if counts is None else len(counts), lambda: torch.tensor([size]), counts=real)


def make_stack(rows: tuple[int, list[int] | None], columns: tuple[int, list[int] | None]) -> Stack[torch.Tensor]:
    """Returns fragments whose cells that are not real hold no number."""
    along = make_along(*rows), make_along(*columns)
    batch = along[0].fragments * along[1].fragments * IMAGES
    generator = torch.Generator().manual_seed(0)
    return Stack(torch.randn(batch, CHANNELS, rows[0], columns[0], generator=generator), *along)


def list_parts(stack: Stack[torch.Tensor], x: torch.Tensor, more: tuple[int, int]) -> list[torch.Tensor]:
    """Returns each fragment's own cells, of which there are more than in the stack."""
    counts = [[along.size()] if along.counts is None else list(along.counts) for along in stack.along]
    apart = x.unflatten(0, (len(counts[0]), len(counts[1]), IMAGES))
    return [
        apart[row, column, ..., : high + more[0], : wide + more[1]]
        for (row, high), (column, wide) in product(enumerate(counts[0]), enumerate(counts[1]))
    ]


SHAPES = [((7, [7, 6, 6, 5]), (6, [6, 5])), ((7, [7, 5]), (6, None)), ((7, None), (6, [4, 6, 5]))]
PADS = [((2, 3), (1, 0)), ((0, 0), (0, 0)), ((0, 2), (-1, 1)), ((-1, -2), (3, 3))]


@pytest.mark.parametrize("kind", ["replicate", "reflect"])
@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_each_fragment_is_padded_by_its_own_cells(rows, columns, pads, kind):
    stack = make_stack(rows, columns)
    edge = Edge(*(Sliding(1, 1, *pair) for pair in pads))
    found = STACKING.surround(stack.tensor, stack, edge, kind)
    assert found.shape == (len(stack.tensor), CHANNELS, rows[0] + sum(pads[0]), columns[0] + sum(pads[1]))
    made, read = list_parts(stack, found, (sum(pads[0]), sum(pads[1]))), list_parts(stack, stack.tensor, (0, 0))
    for padded, part in zip(made, read, strict=True):
        assert torch.equal(padded, F.pad(part, [*pads[1], *pads[0]], kind))


def test_what_slid_over_a_map_has_fewer_cells():
    """A statistic of all whole windows, then as many as there were cells."""
    stack = make_stack((7, [7, 6]), (8, [8, 7, 6]))
    edge = Edge(Sliding(3, 1, 1, 1), Sliding(4, 1, 1, 2))
    sums = F.avg_pool2d(stack.tensor, (3, 4), 1)
    found = STACKING.surround(sums, stack, edge, "replicate")
    for made, part in zip(list_parts(stack, found, (0, 0)), list_parts(stack, stack.tensor, (0, 0)), strict=True):
        assert torch.equal(made, F.pad(F.avg_pool2d(part, (3, 4), 1), [1, 2, 1, 1], "replicate"))


def test_cells_that_are_not_real_become_the_last_ones():
    stack = make_stack((5, [5, 3]), (4, [4, 2]))
    filled = STACKING.fill(stack, Edge(fill="last"))
    part = filled.unflatten(0, (2, 2, IMAGES))[1, 1]
    real = stack.tensor.unflatten(0, (2, 2, IMAGES))[1, 1, ..., :3, :2]
    assert torch.equal(part, F.pad(real, [0, 2, 0, 2], "replicate"))


@pytest.mark.parametrize("kind", ["replicate", "reflect"])
def test_fragments_without_cells_are_left_to_themselves(kind):
    """No window begins there; the others are right all the same."""
    stack = make_stack((4, [4, 0, -2]), (4, [4, 1]))
    found = STACKING.surround(stack.tensor, stack, Edge(Sliding(1, 1, 2, 2), Sliding(1, 1, 0, 1)), kind)
    assert found.shape[2:] == (8, 5)
    first = slice(0, IMAGES)
    assert torch.equal(found[first], F.pad(stack.tensor[first], [0, 1, 2, 2], kind))
