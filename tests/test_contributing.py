"""The rule that CONTRIBUTING.md writes, and its test, work as they stand there."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

from fullyconv.analyze import rule as table
from fullyconv.analyze.plan import Plan
from planning import find_reason, plan_between

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
RULE, TESTS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run_block(code: str, name: str) -> dict[str, object]:
    module = types.ModuleType(name)
    exec(compile(code, f"CONTRIBUTING.md, {name}", "exec"), module.__dict__)
    return module.__dict__


@pytest.fixture
def with_rule(monkeypatch):
    plan_between(lambda x: x.mean((2, 3)), 6)  # so that the real rules are in the table
    monkeypatch.setattr(table, "_RULES", dict(table._RULES))
    monkeypatch.setitem(sys.modules, "cumulation", types.ModuleType("cumulation"))
    run_block(RULE, "cumulation")


def test_without_the_rule_it_is_windowed():
    plan: Plan = plan_between(lambda x: x.cumprod(1).mean((2, 3)), 6)
    assert "may mix the values of a whole window" in find_reason(plan)


@pytest.mark.parametrize("name", ["test_over_channels_is_convolutional", "test_over_rows_is_refused"])
def test_the_plan_follows_the_rule(with_rule, name):
    run_block(TESTS, "tests")[name]()


@pytest.mark.parametrize("function", ["multiply_channels", "multiply_rows"])
def test_the_scores_are_equal(with_rule, function):
    names = run_block(TESTS, "tests")
    names["test_scores_equal_the_classifier"](names[function])
