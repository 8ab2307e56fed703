"""Times ways to run the same thing, in turns, so that what else the machine does falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

Key = TypeVar("Key")

# After the warm-up. A median of three forgives one interruption; more where they are quick.
_FEWEST, _MOST = 3, 15

# What is so much slower than the fastest in its second run is not run again.
_HOPELESS = 3.0


def time_in_turns(runs: Mapping[Key, Callable[[], Any]], budget_s: float) -> dict[Key, float]:
    """Returns the median seconds of each run; those far slower than the fastest are run less often.

    Args:
        runs: what to time; each has run before, so that it is warm.
        budget_s: about how long all of it may take, beyond the fewest runs.
    """
    times: dict[Key, list[float]] = {key: [] for key in runs}
    start = time.perf_counter()
    for round_ in range(_MOST):
        fastest = min((min(taken) for taken in times.values() if taken), default=float("inf"))
        for key, run in runs.items():
            if not times[key] or min(times[key]) <= _HOPELESS * fastest:
                times[key].append(_time(run))
        if round_ + 1 >= _FEWEST and time.perf_counter() - start > budget_s:
            break
    return {key: median(taken) for key, taken in times.items()}


def _time(run: Callable[[], Any]) -> float:
    """Returns the seconds of a run whose results are on the CPU, so that no graphics card still works on it."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure_error(found: Any, expected: Any) -> float:
    """Returns the largest difference of any two tensors, relative to the largest value of the one expected.

    Of whole numbers, such as the number of a class, the share that differs. NaN where a value is NaN or missing.

    Args:
        found: tensors in tuples, lists and mappings.
        expected: the same.
    """
    pairs = zip(pytree.tree_leaves(found), pytree.tree_leaves(expected), strict=True)
    return float(torch.stack([_compare(mine, other).cpu() for mine, other in pairs]).max())


def _compare(found: Tensor, expected: Tensor) -> Tensor:
    found, expected = found.detach(), expected.detach()
    if found.shape != expected.shape:
        return torch.tensor(torch.nan)
    if not expected.is_floating_point():
        return (found != expected).double().mean()
    difference = (found.double() - expected.double()).abs().amax()
    return difference / expected.double().abs().amax().clamp(min=torch.finfo(torch.float32).tiny)
