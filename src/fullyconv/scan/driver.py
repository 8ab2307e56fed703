"""Drives a scan from its first tile to its last, whatever happens between: the one place that writes.

    plan -> engine (reads, computes) -> driver: the block into the score map, then the tile's mark into the ledger

Reading, computing and writing overlap: the engine reads ahead, and one thread writes while the next tile is computed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from fullyconv.atomic import make_folder
from fullyconv.errors import OptionError, OutputError
from fullyconv.scan.candidates import Seeking, find_candidates
from fullyconv.scan.description import ScanDescription
from fullyconv.scan.engines.engine import Engine, TileOutcome
from fullyconv.scan.job import ScanJob, TileWork
from fullyconv.scan.ledger import Ledger
from fullyconv.scan.regions import CellMask, PieceCost, split_wanted
from fullyconv.scan.score_store import ScoreLayout, ScoreStore
from fullyconv.scan.tiles import Tile

PixelProgress = Callable[[int, int], None]

IMAGE = "image"
"""The setting that says which image it is."""

# Blocks that wait to be written: one while the next is computed.
_WRITING = 2


@dataclass(frozen=True, slots=True)
class ScanOrder:
    """A scan and where it goes.

    Attributes:
        job: what is scanned with what.
        output: the score map's folder; its name ends in `.zarr`.
        layout: of the score map.
        description: of the score map.
        settings: what the scan depends on, name by name; it goes on only where all are the same.
        seeking: what to find; nothing if None.
        overwrite: begin anew, whatever is there.
        retry_failed: run those tiles again that failed, also if the image has changed: it may have been mended.
        log: gets a line of JSON for each tile.
    """

    job: ScanJob
    output: Path
    layout: ScoreLayout
    description: ScanDescription
    settings: Mapping[str, str]
    seeking: Seeking | None = None
    overwrite: bool = False
    retry_failed: bool = False
    log: IO[str] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """How a scan ended.

    Attributes:
        tiles: how many there are that have a wanted cell.
        computed: how many of them this run computed; 0 if there was nothing left to do.
        failures: why tiles failed, with where they lie, by their numbers.
        is_mended: whether tiles that had failed were read from an image that has changed since.
    """

    tiles: int
    computed: int
    failures: dict[int, str]
    is_mended: bool = False


def name_ledger(output: Path) -> Path:
    """Returns the path of the ledger that belongs to a score map: `OUT.sqlite` beside `OUT.zarr`.

    Raises:
        OptionError: the name does not end in `.zarr`.
    """
    if output.suffix != ".zarr":
        raise OptionError(f"{output}: expected a name that ends in .zarr for the score map; choose one with -o")
    return output.with_suffix(".sqlite")


def run_scan(
    order: ScanOrder,
    engine: Engine,
    *,
    wanted: CellMask | None = None,
    progress: PixelProgress | None = None,
    finish: Callable[[ScoreStore, Ledger], None] | None = None,
) -> ScanSummary:
    """Computes every tile that is not done yet, and says how it ended; interrupted, the same call goes on.

    Args:
        order: the scan.
        engine: what computes.
        wanted: which cells are asked for; all if None.
        progress: called after each tile with the pixels done and those there are, those of earlier runs among both.
        finish: called once when no tile is left, before the scan counts as finished, with what was written.

    Raises:
        OptionError: what is there is of another scan.
        OutputError: it cannot be written, or another process is writing there.
        ModelError: the network gives no scores.
    """
    with _open_ledger(order) as ledger:
        is_mended = _retry_failed(order, ledger)
        if ledger.settings:
            ledger.check(order.settings)
        store = _open_store(order, ledger)
        works = [work for number in range(len(order.job.plan)) if (work := _plan_work(order.job, number, wanted))]
        done, failed = ledger.list_done(), ledger.list_failures()
        left = [work for work in works if work.number not in done and work.number not in failed]
        if left or not ledger.is_finished:
            writer = _Writer(order, store, ledger, wanted)
            _compute(engine, order.job, left, _Recording(writer, progress, works, left))
            if finish is not None:
                finish(store, ledger)
            ledger.mark_finished()
        return ScanSummary(len(works), len(left), _locate(order, ledger.list_failures()), is_mended)


def _plan_work(job: ScanJob, number: int, wanted: CellMask | None) -> TileWork | None:
    tile = job.plan[number]
    if wanted is None:
        return TileWork(number, (tile,))
    if not wanted.selects_any(tile.rows, tile.columns):
        return None
    cost = PieceCost(job.plan.grid, job.plan.margins_px)
    found = split_wanted(wanted.inside(tile.rows, tile.columns), cost, origin=(tile.rows[0], tile.columns[0]))
    return TileWork(number, tuple(job.plan.cut(piece.rows, piece.columns) for piece in found)) if found else None


def _open_ledger(order: ScanOrder) -> Ledger:
    path = name_ledger(order.output)
    make_folder(order.output.parent)
    if order.output.exists() and not path.exists():
        # Also with --overwrite: without a ledger nothing says that the folder is a scan's, and it would be lost.
        raise OutputError(
            f"{order.output}: expected a new name or a scan's, got something without a ledger ({path.name}) beside it; "
            "choose another output, or remove it"
        )
    ledger = Ledger.open(path)
    try:
        if order.overwrite:
            ledger.clear()
    except BaseException:
        ledger.close()
        raise
    return ledger


def _retry_failed(order: ScanOrder, ledger: Ledger) -> bool:
    """Forgets failures that are to be tried again; returns whether the image is another than when they failed."""
    if not order.retry_failed or not ledger.list_failures():
        return False
    # All but the image must be as it was; that only the failed tiles are read from it now is what was asked for.
    ledger.check({**order.settings, IMAGE: ledger.settings.get(IMAGE, "")})
    ledger.forget_failures()
    return ledger.accept(IMAGE, order.settings.get(IMAGE, ""))


def _open_store(order: ScanOrder, ledger: Ledger) -> ScoreStore:
    """Returns the score map, to write to; the ledger's settings say that it was made whole."""
    if ledger.settings:
        return ScoreStore.open(order.output, mode="r+")
    shutil.rmtree(order.output, ignore_errors=True)
    store = ScoreStore.create(order.output, order.layout, order.description)
    ledger.begin(order.settings)
    return store


@dataclass(frozen=True, slots=True)
class _Writer:
    """Puts a tile's block into the score map, then its mark and its candidates into the ledger."""

    order: ScanOrder
    store: ScoreStore
    ledger: Ledger
    wanted: CellMask | None

    def write(self, outcome: TileOutcome) -> None:
        work, seconds = outcome.work, outcome.reading_seconds + outcome.computing_seconds
        tile = self.order.job.plan[work.number]
        if outcome.scores is None:
            self.ledger.mark_failed(work.number, outcome.failure, seconds=seconds)
        else:
            scores = outcome.scores
            if self.wanted is not None:
                scores = np.where(self.wanted.inside(tile.rows, tile.columns), scores, np.nan).astype(scores.dtype)
            self.store.write(tile.rows, tile.columns, scores)
            found = find_candidates(scores, tile, self.order.seeking) if self.order.seeking else []
            self.ledger.mark_done(work.number, found, seconds=seconds, pixels=work.pixels)
        self._log(outcome, tile)

    def _log(self, outcome: TileOutcome, tile: Tile) -> None:
        if self.order.log is None:
            return
        line = {
            "tile": outcome.work.number,
            "state": "failed" if outcome.failure else "done",
            "rows": tile.rows,
            "columns": tile.columns,
            "x": tile.x_px,
            "y": tile.y_px,
            "pixels": outcome.work.pixels,
            "reading_seconds": round(outcome.reading_seconds, 3),
            "computing_seconds": round(outcome.computing_seconds, 3),
            **({"failure": outcome.failure} if outcome.failure else {}),
        }
        self.order.log.write(json.dumps(line) + "\n")
        self.order.log.flush()


class _Recording:
    """Has one thread write the outcomes, a bounded number of them waiting, and counts the pixels that are done."""

    def __init__(
        self, writer: _Writer, progress: PixelProgress | None, works: list[TileWork], left: list[TileWork]
    ) -> None:
        self._writer = writer
        self._progress = progress
        self._total = sum(work.pixels for work in works)
        self._done = self._total - sum(work.pixels for work in left)
        self._waiting: list[tuple[Future[None], TileWork]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")

    def __enter__(self) -> _Recording:
        self._report(0)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # What was computed is written even if something ended the scan: nothing that is done is lost.
        try:
            while self._waiting:
                self._settle()
        finally:
            self._thread.shutdown()

    def add(self, outcome: TileOutcome) -> None:
        self._waiting.append((self._thread.submit(self._writer.write, outcome), outcome.work))
        while len(self._waiting) > _WRITING:
            self._settle()

    def _settle(self) -> None:
        future, work = self._waiting.pop(0)
        future.result()
        self._report(work.pixels)

    def _report(self, pixels: int) -> None:
        self._done += pixels
        if self._progress is not None:
            self._progress(self._done, self._total)


def _compute(engine: Engine, job: ScanJob, left: list[TileWork], recording: _Recording) -> None:
    if not left:
        return
    with recording, closing(engine.run(job, left)) as outcomes:
        for outcome in outcomes:
            recording.add(outcome)


def _locate(order: ScanOrder, failures: Mapping[int, str]) -> dict[int, str]:
    """Returns the failures with the pixels that their tiles read."""
    located = {}
    for number, reason in failures.items():
        tile = order.job.plan[number]
        where = f"x {tile.x_px[0]} to {tile.x_px[1]}, y {tile.y_px[0]} to {tile.y_px[1]}"
        located[number] = f"tile {number} ({where}): {reason}"
    return located
