"""The page says what the rows say, failures first and none left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coverage_table import write_table

RIGHT = {
    "suite": "small", "key": "small/a", "name": "a", "outcome": "right", "window": [64, 128], "tier": 2,
    "guarantee": "feature windows", "reasons": ["layer2 (aten.mul): mixes"], "shared": 0.25, "convert_s": 1.25,
    "errors": {"window": {"float32": 2e-6, "float64": 3e-15}}, "beyond_window": True, "notes": [],
    "torch": "2.13.0",
}  # fmt: skip
FAILED = {
    "suite": "small",
    "key": "small/b",
    "name": "b",
    "outcome": "crash",
    "message": "ended | with 3 (/some/where/b.py)",
}
UNMADE = {"suite": "small", "key": "small/c", "name": "c", "outcome": "not made", "message": "no library"}


def write(tmp_path: Path, *rows: dict[str, Any]) -> list[str]:
    write_table(rows, tmp_path / "page.md", listed=9, libraries_bytes=120_400_000)
    return (tmp_path / "page.md").read_text().splitlines()


def test_rows(tmp_path: Path) -> None:
    lines = write(tmp_path, RIGHT, FAILED, UNMADE)
    assert "| a | 128x64 | 2 | feature windows | 2.0e-06 | 3.0e-15 | 25% | 1.2 | `layer2 (aten.mul)`: mixes |" in lines
    assert "| b | - | crash | - | - | - | - | - | - |" in lines
    assert not any(line.startswith("| c |") for line in lines)


def test_summary_counts_what_was_tried(tmp_path: Path) -> None:
    lines = write(tmp_path, RIGHT, FAILED, UNMADE)
    assert "| all | 2 | 1 | 0 | 0 | 1 | 0 | 0 | 1 | 25% |" in lines
    assert "| mixes | 1 | 25% | 25% | 25% |" in lines
    assert "- small/b: crash: ended | with 3" in lines
    assert "- small/c: not made: no library" in lines
    assert any(line.startswith("Run so far: 3 of 9 listed classifiers. Versions: torch 2.13.0") for line in lines)


def test_what_is_wrong_stands_out(tmp_path: Path) -> None:
    lines = write(tmp_path, {**RIGHT, "outcome": "wrong", "message": "window float64: 1.0e+00"})
    assert any(line.startswith("| a | 128x64 | 2 **wrong** |") for line in lines)
    assert "- small/a: wrong: window float64: 1.0e+00" in lines


def test_sizes_that_were_not_compared_are_said(tmp_path: Path) -> None:
    """Crops are compared at every size, so nothing is missing where they are what is promised."""
    notes = {
        "pads": "feature windows, rest pixels: not checked (RouteError: call 0 is)",
        "asserts": "feature windows, rest pixels: not checked (AssertionError)",
    }
    rows = [{**RIGHT, "key": name, "name": name, "notes": [note]} for name, note in notes.items()]
    crops = {**RIGHT, "key": "crops", "name": "crops", "notes": [notes["pads"]], "guarantee": "image crops"}
    lines = write(tmp_path, RIGHT, *rows, crops)
    assert "- Its padding follows the image's size: pads." in lines
    assert "- It does not run there: asserts." in lines


def test_right_ones_that_round_much_are_named(tmp_path: Path) -> None:
    noisy = {"errors": {"window": {"float32": 3e-5, "float64": 1e-14}}, "tolerances": {"float32": 1.5e-4}}
    assert any(line.endswith("rounding is: none.") for line in write(tmp_path, RIGHT))
    lines = write(tmp_path, RIGHT, {**RIGHT, **noisy, "key": "small/n", "name": "n"})
    assert any(line.endswith("rounding is: n 3.0e-05, allowed 1e-04.") for line in lines)


def test_memory_from_a_cold_start_stands_beside_the_rest(tmp_path: Path) -> None:
    """Weights of 10, 20 and 60 MB; a row of an earlier benchmark does not say what a cold start takes."""
    taken = [(10e6, 5e6, 10e6, 40e6), (20e6, 5e6, 40e6, 60e6), (60e6, 0, 0, 0)]
    names = ("weights_bytes", "run_bytes", "convert_bytes", "cold_bytes")
    rows = [{**RIGHT, **dict(zip(names, figures, strict=True)), "key": str(figures)} for figures in taken]
    lines = write(tmp_path, *rows)
    assert "| 10 to 40 MB | 2 | 20, 25 | 40, 60 | 2.5, 3.0 | 65, 80 | 4.5, 5.0 |" in lines
    assert not any(line.startswith("| 40 to 160 MB |") for line in lines)
    assert "Of 3 times their weights and more, with libraries loaded: a 3.0." in lines
    assert any("the first conversion of a tiny network takes 120 MB" in line for line in lines)
