"""What of a scan is done: one SQLite file beside the score map, `OUT.sqlite` beside `OUT.zarr`.

    settings    what the scan was asked for, name by name: a scan goes on only where all of it is the same
    tiles       one row for each tile that is done, or that failed, with the reason
    candidates  cells of done tiles that reach the threshold and that no neighbour in their tile exceeds
    detections  the boxes that were made of them when all tiles were done
    finished    one row once no tile was left

A tile's candidates and its mark are one transaction, made after its block is in the score map. So whatever kills the
process, a tile either is done with all that belongs to it, or is not and is run again; its block then is the same.
The driver owns the file and keeps it locked: a second one on the same output is refused.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fullyconv.errors import ImageError, OptionError, OutputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS finished (number INTEGER PRIMARY KEY CHECK (number = 1));
CREATE TABLE IF NOT EXISTS tiles (
    number INTEGER PRIMARY KEY, failure TEXT, seconds REAL NOT NULL, pixels INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS candidates (
    tile INTEGER NOT NULL, output INTEGER NOT NULL, grid_row INTEGER NOT NULL, grid_column INTEGER NOT NULL,
    score REAL NOT NULL, PRIMARY KEY (tile, output, grid_row, grid_column)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS detections (
    class_name TEXT NOT NULL, score REAL NOT NULL,
    x0 REAL NOT NULL, y0 REAL NOT NULL, x1 REAL NOT NULL, y1 REAL NOT NULL, scale REAL NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cell that may be a detection.

    Attributes:
        output: which of the stored scores.
        cell: row and column in the score map.
        score: its score.
    """

    output: int
    cell: tuple[int, int]
    score: float


@dataclass(frozen=True, slots=True)
class BoxRow:
    """A detection as it is kept: half-open `(x0, y0, x1, y1)` in pixels of the image's finest level."""

    class_name: str
    score: float
    box_xyxy: tuple[float, float, float, float]
    scale: float


class Ledger:
    """An open ledger; to be closed, and used by one thread at a time.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Opens the ledger to write, or makes an empty one, and locks it until it is closed or the process ends.

        Raises:
            OutputError: another process has it open, or it cannot be written.
            ImageError: the file is not a ledger.
        """
        ledger = cls(path, _connect(path, "rwc"))
        try:
            with _report(path):
                ledger._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                ledger._connection.executescript("BEGIN EXCLUSIVE;" + _SCHEMA + "COMMIT;")
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def read(cls, path: Path) -> Ledger:
        """Opens the ledger of a scan that is not running, to read.

        Raises:
            ImageError: there is none, or it is not a ledger.
            OutputError: the scan is running.
        """
        if not path.is_file():
            raise ImageError(f"{path}: expected the ledger that fullyconv scan writes beside a score map, got none")
        ledger = cls(path, _connect(path, "ro"))
        with _report(path):
            ledger._connection.execute("SELECT count(*) FROM tiles").fetchone()
        return ledger

    def close(self) -> None:
        """Closes the file and lets other processes have it."""
        self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def settings(self) -> dict[str, str]:
        """What the scan was asked for; empty where it never began."""
        rows = self._ask("SELECT name, value FROM settings")
        return {name: json.loads(value) for name, value in rows}

    def begin(self, settings: Mapping[str, str]) -> None:
        """Notes what the scan is asked for, once its score map is there to be written to."""
        with self._change() as connection:
            rows = [(name, json.dumps(value)) for name, value in settings.items()]
            connection.executemany("INSERT INTO settings VALUES (?, ?)", rows)

    def check(self, settings: Mapping[str, str]) -> None:
        """Checks that a scan is asked to go on as it began.

        Raises:
            OptionError: something differs; the message says what.
        """
        before = self.settings
        changed = [name for name in before.keys() | settings.keys() if before.get(name) != settings.get(name)]
        if changed:
            listed = ", ".join(
                f"{name} was {before.get(name, 'not set')} and is {settings.get(name, 'not set')}"
                for name in sorted(changed)
            )
            raise OptionError(
                f"{self.path}: expected the scan that was begun there, got another: {listed}; "
                "choose another output, or --overwrite to begin anew"
            )

    @property
    def is_finished(self) -> bool:
        """Whether a run came to its end with no tile left, though some may have failed."""
        return bool(self._ask("SELECT number FROM finished"))

    def mark_finished(self) -> None:
        """Notes that no tile is left."""
        with self._change() as connection:
            connection.execute("INSERT OR REPLACE INTO finished VALUES (1)")

    def clear(self) -> None:
        """Makes the ledger an empty one."""
        with self._change() as connection:
            for table in ("settings", "finished", "tiles", "candidates", "detections"):
                connection.execute(f"DELETE FROM {table}")

    def accept(self, name: str, value: str) -> bool:
        """Notes that a setting is now another, for whoever knows that the scan may go on; returns whether it was."""
        if self.settings.get(name) == value:
            return False
        with self._change() as connection:
            connection.execute("UPDATE settings SET value = ? WHERE name = ?", (json.dumps(value), name))
        return True

    def list_done(self) -> frozenset[int]:
        """Returns the numbers of the tiles that are done."""
        return frozenset(number for (number,) in self._ask("SELECT number FROM tiles WHERE failure IS NULL"))

    def list_failures(self) -> dict[int, str]:
        """Returns why tiles failed, by their numbers."""
        return dict(self._ask("SELECT number, failure FROM tiles WHERE failure IS NOT NULL ORDER BY number"))

    def mark_done(self, number: int, candidates: Iterable[Candidate], *, seconds: float, pixels: int) -> None:
        """Marks a tile, whose block is in the score map, as done, with what may be detected in it: both or neither.

        Raises:
            OutputError: the file cannot be written.
        """
        rows = [(number, each.output, *each.cell, each.score) for each in candidates]
        with self._change() as connection:
            connection.execute("INSERT OR REPLACE INTO tiles VALUES (?, NULL, ?, ?)", (number, seconds, pixels))
            connection.execute("DELETE FROM candidates WHERE tile = ?", (number,))
            connection.executemany("INSERT INTO candidates VALUES (?, ?, ?, ?, ?)", rows)

    def mark_failed(self, number: int, reason: str, *, seconds: float) -> None:
        """Notes that a tile failed, and why.

        Raises:
            OutputError: the file cannot be written.
        """
        with self._change() as connection:
            connection.execute("INSERT OR REPLACE INTO tiles VALUES (?, ?, ?, 0)", (number, reason, seconds))

    def forget_failures(self) -> None:
        """Makes tiles that failed as if they had never been tried."""
        with self._change() as connection:
            connection.execute("DELETE FROM tiles WHERE failure IS NOT NULL")
            connection.execute("DELETE FROM finished")

    def list_candidates(self, tile: int | None = None) -> list[Candidate]:
        """Returns the candidates, of one tile or of all, in order of output, row and column."""
        where, values = ("", ()) if tile is None else (" WHERE tile = ?", (tile,))
        rows = self._ask(
            f"SELECT output, grid_row, grid_column, score FROM candidates{where} "
            "ORDER BY output, grid_row, grid_column",
            values,
        )
        return [Candidate(output, (row, column), score) for output, row, column, score in rows]

    def list_tiles_with_candidates(self) -> list[int]:
        """Returns the numbers of the tiles that have candidates."""
        return [number for (number,) in self._ask("SELECT DISTINCT tile FROM candidates ORDER BY tile")]

    def replace_detections(self, boxes: Iterable[BoxRow]) -> None:
        """Keeps these detections in place of those there were.

        Raises:
            OutputError: the file cannot be written.
        """
        rows = [(each.class_name, each.score, *each.box_xyxy, each.scale) for each in boxes]
        with self._change() as connection:
            connection.execute("DELETE FROM detections")
            connection.executemany("INSERT INTO detections VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def list_detections(self) -> list[BoxRow]:
        """Returns the detections, highest score first."""
        rows = self._ask("SELECT class_name, score, x0, y0, x1, y1, scale FROM detections ORDER BY rowid")
        return [BoxRow(name, score, (x0, y0, x1, y1), scale) for name, score, x0, y0, x1, y1, scale in rows]

    def _ask(self, query: str, values: tuple[object, ...] = ()) -> list[tuple]:  # type: ignore[type-arg]
        with _report(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with _report(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    try:
        # isolation_level None: transactions begin where this file says, not where the module guesses.
        return sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise OutputError(f"{path}: cannot be written ({error}); choose another place with -o") from None


@contextmanager
def _report(path: Path) -> Iterator[None]:
    """Turns what SQLite says into one line that says what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        text = str(error)
        if "locked" in text:
            raise OutputError(f"{path}: another scan is writing there; wait for it, or choose another output") from None
        if "not a database" in text or "malformed" in text:
            raise ImageError(f"{path}: expected the ledger of a scan, got something else ({text})") from None
        if "full" in text:
            raise OutputError(
                f"{path}: the disk is full; what is done is kept: make room and give the same command again"
            ) from error
        raise OutputError(f"{path}: cannot be written ({text}); choose another place with -o") from error
