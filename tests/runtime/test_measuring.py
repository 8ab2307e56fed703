"""Timing in turns, and how far outputs are apart."""

from __future__ import annotations

import math

import pytest
import torch

from fullyconv.runtime import measuring
from fullyconv.runtime.measuring import measure_error, time_in_turns


class Clock:
    """Time that passes only while something runs."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def make_run(self, name, *seconds):
        left = list(seconds)

        def run():
            self.order.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return run


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: made.now)
    return made


def test_they_run_in_turns_and_the_median_counts(clock):
    runs = {"a": clock.make_run("a", 9.0, 2.0, 2.0), "b": clock.make_run("b", 3.0, 3.0, 30.0)}
    assert time_in_turns(runs, budget_s=1) == {"a": 2.0, "b": 3.0}
    assert clock.order == ["a", "b"] * 3


def test_more_runs_where_they_are_quick(clock):
    time_in_turns({"a": clock.make_run("a", 0.01)}, budget_s=1)
    assert len(clock.order) == 15


def test_the_hopeless_run_once(clock):
    runs = {"slow": clock.make_run("slow", 50.0), "fast": clock.make_run("fast", 1.0)}
    assert time_in_turns(runs, budget_s=1) == {"slow": 50.0, "fast": 1.0}
    assert clock.order == ["slow", "fast", "fast", "fast"]


def test_nothing_takes_no_time():
    assert time_in_turns({}, budget_s=1) == {}


def test_errors_are_relative_to_the_largest_value():
    expected = {"a": torch.tensor([1.0, -4.0]), "b": (torch.tensor([0.5]),)}
    found = {"a": torch.tensor([1.0, -4.2]), "b": (torch.tensor([0.5]),)}
    assert measure_error(found, expected) == pytest.approx(0.05)
    assert measure_error(expected, expected) == 0


def test_whole_numbers_differ_by_their_share():
    assert measure_error(torch.tensor([1, 2, 3, 4]), torch.tensor([1, 2, 9, 4])) == 0.25


@pytest.mark.parametrize("found", [torch.tensor([1.0, torch.nan]), torch.tensor([1.0])])
def test_what_is_undefined_is_never_near(found):
    error = measure_error((torch.tensor([9.0]), found), (torch.tensor([1.0]), torch.tensor([1.0, 2.0])))
    assert math.isnan(error)


def test_beside_zeros_everything_is_far():
    assert measure_error(torch.tensor([1e-3]), torch.tensor([0.0])) > 1e30
    assert measure_error(torch.zeros(2), torch.zeros(2)) == 0
