"""What is remembered of runtimes, and that a file that is no good does no harm."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fullyconv.runtime import remembered
from fullyconv.runtime.choice import Choice, Trial
from fullyconv.runtime.remembered import Circumstances, find_file, recall, remember
from fullyconv.runtime.specification import Runtime

HERE = Circumstances("abc", 9, 2, "exact", "cpu", 1e-4, compiles=False)
CHOICE = Choice(
    Runtime("openvino"), "", (Trial(Runtime(), 0.5, 0.0), Trial(Runtime("openvino"), 0.25, 3e-7)), (512, 512)
)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_what_was_chosen_comes_back():
    assert recall(HERE) is None
    remember(HERE, CHOICE)
    assert recall(HERE) == replace(CHOICE, is_remembered=True)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "other"}, {"size_class": 10}, {"threads": 1}, {"precision": "fast"}, {"max_error": 1e-3},
        {"compiles": True},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_only_in_the_same_circumstances(change):
    remember(HERE, CHOICE)
    assert recall(replace(HERE, **change)) is None


@pytest.mark.parametrize("name", ["_list_versions", "_name_processor"])
def test_only_on_the_same_machine_with_the_same_libraries(monkeypatch, name):
    remember(HERE, CHOICE)
    monkeypatch.setattr(remembered, name, lambda: {"torch": "0.1"} if name == "_list_versions" else "another")
    assert recall(HERE) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "\xff", "[" * 100_000, "null"])
def test_a_broken_file_is_none(text):
    remember(HERE, CHOICE)
    find_file().write_text(text, encoding="latin-1")
    assert recall(HERE) is None
    remember(HERE, CHOICE)
    assert recall(HERE) is not None


@pytest.mark.parametrize("value", [None, {}, [], {"runtime": {"library": "tensorrt"}}, {"runtime": 3, "trials": "x"}])
def test_so_is_a_broken_entry(value):
    remember(HERE, CHOICE)
    known = json.loads(find_file().read_text())
    find_file().write_text(json.dumps(dict.fromkeys(known, value)))
    assert recall(HERE) is None


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "fullyconv").write_text("in the way")
    remember(HERE, CHOICE)
    assert recall(HERE) is None


def test_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(remembered, "_MOST", 2)
    for threads in (1, 2, 3):
        remember(replace(HERE, threads=threads), CHOICE)
    remember(replace(HERE, threads=2), CHOICE)
    remember(replace(HERE, threads=4), CHOICE)
    known = [threads for threads in (1, 2, 3, 4) if recall(replace(HERE, threads=threads))]
    assert known == [2, 4]


def test_its_place_is_the_user_s_cache(monkeypatch, tmp_path):
    assert find_file() == tmp_path / "fullyconv" / "runtimes.json"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for told in ("", "relative/path"):  # by the XDG specification
        monkeypatch.setenv("XDG_CACHE_HOME", told)
        assert find_file() == Path(tmp_path / "home" / ".cache" / "fullyconv" / "runtimes.json")
