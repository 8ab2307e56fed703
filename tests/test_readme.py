"""The README's Python runs as it stands, and its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import torch

import fullyconv
from fullyconv.cli import COMMANDS

README = Path(__file__).parents[1] / "README.md"


def read_example(page: Path = README) -> str:
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return block


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    torch.manual_seed(0)
    exec(compile(read_example(), str(README), "exec"), names)
    assert names["scores"].shape == (1, 1, 97, 241)
    assert capsys.readouterr().out == "(8, 4, 72, 132)\n"
    assert fullyconv.load("dense.pt2").grid == names["dense"].grid


def test_the_example_of_finer_grids_runs():
    page = README.parent / "docs" / "refinement.md"
    names: dict[str, object] = {}
    torch.manual_seed(0)
    exec(compile(read_example(page), str(page), "exec"), names)
    assert names["scores"].shape == (1, 1, 33, 65)


def test_the_example_is_short():
    assert sum(bool(line.strip()) for line in read_example().splitlines()) <= 10


def test_every_command_named_is_one():
    named = set(re.findall(r"^    fullyconv (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= set(COMMANDS)
    assert {"train", "convert", "detect", "verify", "inspect"} <= named


def test_the_picture_is_there_and_small():
    for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / name).stat().st_size < 250_000
