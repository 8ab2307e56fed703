"""The page on ONNX files says what the rows say, and the section on trained weights lives in another page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from coverage_table import write_table as write_coverage
from export_table import write_table, write_trained
from page import read_section, replace_section

RIGHT: dict[str, Any] = {
    "suite": "light", "key": "light/a", "name": "a", "outcome": "right", "window": [64, 128], "stride": [8, 16],
    "tier": 2, "guarantee": "feature windows", "reasons": ["n1 (onnx.Mul): mixes"], "shared": 0.25, "convert_s": 1.25,
    "errors": {"onnxruntime": {"window": 2e-6, "feature windows": 1e-6}, "openvino": {"window": 3e-6}}, "double": 5e-15,
    "beyond_window": True, "exporter": "Caffe2", "onnx": "1.23", "commit": "abc",
    "from_pytorch": {"different": [], "error": 4e-7},
}  # fmt: skip
FAILED = {"suite": "light", "key": "light/b", "name": "b", "outcome": "not made", "message": "no library. At all"}
UNLIKE = {
    **RIGHT, "key": "light/c", "name": "c", "outcome": "wrong", "message": "not as from PyTorch: tier: 1 and 2",
    "beyond_window": False, "from_pytorch": {"different": ["tier: 1 and 2"]},
}  # fmt: skip
FAR = {"windows": 9, "errors": {"window": 0.0}, "max_difference": 0.5, "mean_difference": 0.125, "moved_px": 2}
FAR |= {"moved_difference": 0.25, "correlation": 0.75, "top1_agreement": 0.5}
TRAINED = {
    **RIGHT, "suite": "trained", "key": "trained/t", "name": "t",
    "borders": {"image": FAR, "window": {"errors": {"image crops": 1e-7}}},
}  # fmt: skip


def write(tmp_path: Path, *rows: dict[str, Any]) -> list[str]:
    write_table(rows, tmp_path / "onnx.md")
    return (tmp_path / "onnx.md").read_text().splitlines()


def test_rows(tmp_path: Path) -> None:
    lines = write(tmp_path, RIGHT, FAILED, UNLIKE, TRAINED)
    facts = "| a | 128x64 | 16x8 | 2 | feature windows | 25% | 2.0e-06 | 3.0e-06 | 5.0e-15 | 4.0e-07 | 1.2 |"
    cells = f"{facts} `n1 (onnx.Mul)`: mixes |"
    assert cells in lines
    assert any("**wrong**" in line and "no: tier: 1 and 2" in line and "(window only)" in line for line in lines)
    assert "- light/b: not made: no library" in lines
    assert "Right: 1 of 2 files. Versions: onnx 1.23, commit abc." in lines
    assert "Written by: Caffe2." in lines


def test_trained_weights_are_a_section_that_the_other_command_keeps(tmp_path: Path) -> None:
    page = tmp_path / "coverage.md"
    write_coverage([], page, listed=9, libraries_bytes=0)
    before = page.read_text().splitlines()
    write_trained([TRAINED], page)
    write_trained([TRAINED], page)
    lines = page.read_text().splitlines()
    assert "| t | 128x64 | 16x8 | 2 | feature windows | 2.0e-06 | 3.0e-06 | 1.2 |" in lines
    assert "| t | image | 0.12 | 0.5 | 0.25 (2 px) | 0.750 | 50% |" in lines
    assert "| t | window | equal, relative error 1e-07 | - | - | - | - |" in lines
    assert lines[: len(before)] == before
    write_coverage([], page, listed=9, libraries_bytes=0)
    assert page.read_text().splitlines() == lines


@pytest.mark.parametrize("text", ["# a\n\n## b\n\nold\n\n## c\n\nkept\n", "# a\n\n## c\n\nkept\n"])
def test_a_section_is_replaced_or_added(tmp_path: Path, text: str) -> None:
    page = tmp_path / "a.md"
    page.write_text(text)
    replace_section(page, "b", ["new"])
    assert read_section(page, "b")[:3] == ["## b", "", "new"]
    assert read_section(page, "c")[:3] == ["## c", "", "kept"]
    assert "old" not in page.read_text()
    assert read_section(tmp_path / "none.md", "b") == []
