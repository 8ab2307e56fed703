import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fullyconv.errors import ImageError, OptionError, OutputError
from fullyconv.scan.ledger import BoxRow, Candidate, Ledger

SETTINGS = {"network": "abc", "level": "0 (40x30)"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.sqlite"


def test_what_was_marked_is_there_again(path: Path) -> None:
    candidates = [Candidate(1, (3, 4), 0.75), Candidate(0, (9, 2), 0.5)]
    with Ledger.open(path) as ledger:
        ledger.begin(SETTINGS)
        ledger.mark_done(5, candidates, seconds=0.5, pixels=100)
        ledger.mark_done(2, [], seconds=0.5, pixels=100)
        ledger.mark_failed(7, "the segment is damaged", seconds=0.1)
        assert not ledger.is_finished
        ledger.mark_finished()
    with Ledger.read(path) as ledger:
        assert ledger.settings == SETTINGS
        assert ledger.list_done() == {2, 5}
        assert ledger.list_failures() == {7: "the segment is damaged"}
        assert ledger.list_candidates() == candidates[::-1]
        assert ledger.list_candidates(5) == candidates[::-1]
        assert ledger.list_candidates(2) == []
        assert ledger.list_tiles_with_candidates() == [5]
        assert ledger.is_finished


def test_a_tile_that_is_done_again_has_its_candidates_once(path: Path) -> None:
    with Ledger.open(path) as ledger:
        for _ in range(2):
            ledger.mark_done(5, [Candidate(0, (3, 4), 0.75)], seconds=0.5, pixels=100)
        assert len(ledger.list_candidates()) == 1


def test_a_tile_is_marked_with_its_candidates_or_not_at_all(path: Path) -> None:
    def broken():
        yield Candidate(0, (3, 4), 0.75)
        yield Candidate(0, (3, 4), 0.75)  # the same cell twice: the second is refused

    with Ledger.open(path) as ledger:
        with pytest.raises(OutputError, match="cannot be written"):
            ledger.mark_done(5, broken(), seconds=0.5, pixels=100)
        assert ledger.list_done() == frozenset()
        assert ledger.list_candidates() == []


def test_failures_can_be_forgotten(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.mark_done(1, [], seconds=1, pixels=1)
        ledger.mark_failed(2, "why", seconds=1)
        ledger.mark_finished()
        ledger.forget_failures()
        assert (ledger.list_done(), ledger.list_failures(), ledger.is_finished) == ({1}, {}, False)
        ledger.clear()
        assert ledger.list_done() == frozenset()


def test_detections_replace_those_there_were(path: Path) -> None:
    boxes = [BoxRow("cell", 0.9, (0, 1, 2.5, 3), 1.0), BoxRow("cell", 0.8, (5, 1, 7, 3), 1.0)]
    with Ledger.open(path) as ledger:
        ledger.replace_detections([BoxRow("other", 0.1, (0, 0, 1, 1), 1.0)])
        ledger.replace_detections(boxes)
        assert ledger.list_detections() == boxes


def test_another_scan_is_refused_with_what_differs(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.begin(SETTINGS)
        ledger.check(SETTINGS)
        with pytest.raises(OptionError, match=r"got another: level was 0 \(40x30\) and is 1; choose another output"):
            ledger.check({**SETTINGS, "level": "1"})
        with pytest.raises(OptionError, match="where was not set and is tissue"):
            ledger.check({**SETTINGS, "where": "tissue"})


def test_a_second_process_is_refused_while_the_first_writes(path: Path) -> None:
    code = f"from pathlib import Path; from fullyconv.scan.ledger import Ledger; Ledger.open(Path({str(path)!r}))"
    with Ledger.open(path) as ledger:
        ledger.begin(SETTINGS)
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "another scan is writing there; wait for it, or choose another output" in second.stderr
        with pytest.raises(OutputError, match="another scan is writing there"):
            Ledger.read(path)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_ledger(path: Path) -> None:
    with pytest.raises(ImageError, match="expected the ledger that fullyconv scan writes beside a score map, got none"):
        Ledger.read(path)
    path.write_bytes(b"not a database, but long enough to be looked at " * 40)
    for opening in (Ledger.open, Ledger.read):
        with pytest.raises(ImageError, match="expected the ledger of a scan, got something else"):
            opening(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written \(unable to open database file\); choose another place"):
        Ledger.open(tmp_path / "none" / "out.sqlite")


def test_a_full_disk_is_told(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.begin(SETTINGS)
        pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
        ledger._connection.execute(
            f"PRAGMA max_page_count = {pages + 1}"
        )  # SQLite then says what it says on a full disk
        many = [Candidate(0, (row, 0), 0.5) for row in range(5000)]
        with pytest.raises(OutputError, match="the disk is full; what is done is kept: make room and give the same"):
            ledger.mark_done(1, many, seconds=1, pixels=1)
        assert ledger.list_done() == frozenset()
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
