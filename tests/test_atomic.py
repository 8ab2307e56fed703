"""Files and folders that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullyconv.atomic import make_folder, use_folder, write_whole
from fullyconv.errors import OutputError


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    with write_whole(path) as part:
        part.write_text("whole")
        assert not path.exists() and part.suffix == ".txt"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), write_whole(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(OutputError, match="cannot be made a folder"):
        make_folder(path)
    with pytest.raises(OutputError, match="cannot be made a folder"), write_whole(path / "other.txt"):
        pass
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OutputError, match="cannot be written"), write_whole(target) as part:
        part.write_text("a file cannot replace a folder")
    assert sorted(tmp_path.iterdir()) == [path, target]


def test_an_unused_new_folder_goes_away(tmp_path: Path) -> None:
    with use_folder(tmp_path / "unused"):
        pass
    with use_folder(tmp_path / "used") as folder:
        (folder / "result").touch()
    (tmp_path / "old").mkdir()
    with use_folder(tmp_path / "old"):
        pass
    with pytest.raises(ZeroDivisionError), use_folder(tmp_path / "failed"):
        raise ZeroDivisionError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old", "used"]
