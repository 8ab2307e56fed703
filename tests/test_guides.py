"""The guides' code runs as it stands; those of other frameworks by docs/guides/tests, where these are installed."""

from __future__ import annotations

import re

import pytest

from guides import GUIDES, run_guide

HEAVY = {"keras", "tensorflow"}
QUICK = {path.stem for path in GUIDES.glob("*.md")} - HEAVY


@pytest.mark.filterwarnings("ignore")  # torch's exporters announce what will change in them
@pytest.mark.parametrize("name", sorted(QUICK))
def test_a_guide_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_guide(name)


def test_the_heavy_ones_are_run_elsewhere():
    tests = (GUIDES / "tests" / "test_frameworks.py").read_text(encoding="utf-8")
    assert set(re.findall(r'\("(\w+)", "\w+"\)', tests)) - {"name"} == HEAVY


def test_the_readme_names_each_guide():
    readme = (GUIDES.parents[1] / "README.md").read_text(encoding="utf-8")
    assert {f"docs/guides/{path.name}" for path in GUIDES.glob("*.md")} <= set(re.findall(r"\(([^)]+\.md)\)", readme))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```python\nprint(1)\n```\n```text\n2\n```\n", "says that it prints '2"),
        ("```console\n$ fullyconv convert nothing.onnx -o a.onnx\n```\n", "ended with 2"),
        ("```console\n$ fullyconv --version\nnonsense\n```\n", "'nonsense' is not in"),
    ],
)
def test_a_guide_that_is_wrong_fails(tmp_path, monkeypatch, text, message):
    (tmp_path / "wrong.md").write_text(text)
    monkeypatch.setattr("guides.GUIDES", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=message):
        run_guide("wrong")
