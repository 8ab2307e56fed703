"""Sliding statistics, against the statistics of each window computed one by one."""

from __future__ import annotations

import pytest
import torch

from around import normalise_slowly, slide_slowly
from fullyconv.analyze.plan import SlidingNorm, SlidingPool, SlidingStatistic, Step
from fullyconv.capture.calls import Call, Ref, run_call
from fullyconv.graph import Operation, Pair
from fullyconv.rewrite.lowering import Lowering
from fullyconv.rewrite.torch_steps import lower_step

MAP = (11, 12)
EXTENTS = [(1, 1), (1, 6), (5, 1), (2, 2), (3, 4), (4, 3), (7, 8), MAP]


def run_step(op: Operation, x: torch.Tensor, *weights: torch.Tensor | None) -> torch.Tensor:
    names = tuple(None if weight is None else Ref(f"weight{i}") for i, weight in enumerate(weights))
    step = Step(op, ("x",), (), "result", "node")
    tensors = {"x": x, **{f"weight{i}": weight for i, weight in enumerate(weights) if weight is not None}}
    for call in lower_step(Lowering(step, op, ("x",), names, Call("", ()))):
        assert isinstance(call, Call)
        tensors.update(zip(call.outputs, run_call(call, tensors, len(x)), strict=True))
    return tensors["result"]


def make_map(channels: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, *MAP, generator=generator, dtype=torch.float64) * 3 + 2


@pytest.mark.parametrize("extent", EXTENTS)
def test_pools(extent: Pair) -> None:
    x = make_map(3)
    average, maximum = (run_step(SlidingPool(kind, extent), x) for kind in ("average", "max"))
    torch.testing.assert_close(average, slide_slowly(x, extent, lambda w: w.mean((2, 3))), rtol=1e-13, atol=1e-13)
    assert torch.equal(maximum, slide_slowly(x, extent, lambda w: w.amax((2, 3))))
    total = run_step(SlidingPool("average", extent, divisor=1), x)
    torch.testing.assert_close(total, slide_slowly(x, extent, lambda w: w.sum((2, 3))), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("extent", [extent for extent in EXTENTS if extent != (1, 1)])
def test_norms(extent: Pair, groups: int) -> None:
    x, scale, shift = make_map(6), torch.rand(6, 1, 1).double() + 0.5, torch.rand(6, 1, 1).double()

    expected = normalise_slowly(x, extent, groups) * scale + shift
    result = run_step(SlidingNorm(groups, extent, 1e-5), x, scale, shift)
    torch.testing.assert_close(result, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("extent", [extent for extent in EXTENTS if extent != (1, 1)])
def test_statistics(extent: Pair, groups: int) -> None:
    x, values = make_map(3), 3 // groups * extent[0] * extent[1]
    expected = {
        SlidingStatistic("norm", groups, extent, values): lambda w: w.reshape(2, groups, -1).norm(dim=2),
        SlidingStatistic("variance", groups, extent, values): lambda w: w.reshape(2, groups, -1).var(2, correction=0),
        SlidingStatistic("deviation", groups, extent, values, 1): lambda w: w.reshape(2, groups, -1).std(2),
    }
    for op, score in expected.items():
        torch.testing.assert_close(run_step(op, x), slide_slowly(x, extent, score), rtol=1e-11, atol=1e-11)


def test_norms_of_zeros_beside_large_values_are_zero() -> None:
    x = torch.zeros(1, 1, *MAP)
    x[..., :3] = 1e4 * torch.rand(1, 1, MAP[0], 3, generator=torch.Generator().manual_seed(0))
    result = run_step(SlidingStatistic("norm", 1, (3, 3), 9), x)
    assert result.isfinite().all() and result[..., 6:].abs().max() < 1e-3


def test_of_one_cell_it_is_the_norm_of_its_channels() -> None:
    x = make_map(6)
    columns = x.permute(0, 2, 3, 1).reshape(-1, 6)
    expected = torch.nn.functional.group_norm(columns, 2).reshape(2, *MAP, 6).permute(0, 3, 1, 2)
    torch.testing.assert_close(run_step(SlidingNorm(2, (1, 1), 1e-5), x, None, None), expected, rtol=1e-10, atol=1e-10)


def test_large_means_do_not_swallow_small_variances() -> None:
    """Of values near 1000 that vary by 3, with a step of 1000 in the image, whose squares float32 cannot hold.

    What is left is the distance from the image's mean, 500, in units of 3 and of float32's 6e-8.
    """
    x = make_map(2) + 1000
    x[..., 6:] += 1000
    single = x.float()
    expected = run_step(SlidingNorm(2, (3, 3), 1e-5), single.double(), None, None)
    result = run_step(SlidingNorm(2, (3, 3), 1e-5), single, None, None)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), expected, rtol=2e-5, atol=2e-5)


def test_constant_maps_become_zero() -> None:
    x = torch.full((1, 2, *MAP), 0.1)
    assert run_step(SlidingNorm(1, (3, 4), 1e-5), x, None, None).abs().max() < 1e-5


def test_the_cost_of_sums_does_not_grow_with_the_window() -> None:
    small, large = (list_operations(SlidingPool("average", extent)) for extent in ((2, 2), (9, 10)))
    assert small == large
    assert not any("pool" in target for target in large)  # which would add up each window by itself


def test_the_cost_of_maxima_grows_with_its_logarithm() -> None:
    assert list_operations(SlidingPool("max", (64, 1))).count("aten.maximum.default") == 6


def list_operations(op: Operation) -> list[str]:
    step = Step(op, ("x",), (), "result", "node")
    return [call.target for call in lower_step(Lowering(step, op, ("x",), (), Call("", ()))) if isinstance(call, Call)]
