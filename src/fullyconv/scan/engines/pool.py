"""Tiles on workers that may die: those that were under way are run again, one at a time, until it is known which kills.

When a worker dies, nobody can say which of the tiles under way was to blame. So everything under way is waited for, and
each tile that was lost runs again, alone. One that is done then was lost by chance: its worker was killed from outside,
or by its neighbour. One that loses its worker each time, alone, is poison: it is reported and left out, and the scan
goes on with all others.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from itertools import islice
from typing import Protocol

from fullyconv.scan.engines.engine import TileOutcome
from fullyconv.scan.job import ScanJob, TileWork


class WorkerPool(Protocol):
    """Workers, wherever they are."""

    @property
    def in_flight(self) -> int:
        """How many tiles to have under way: enough that no worker waits, few enough that memory is bounded."""
        ...

    @property
    def attempts_alone(self) -> int:
        """How often a tile that was lost is run again alone before it counts as what kills the worker."""
        ...

    @property
    def lost(self) -> tuple[type[BaseException], ...]:
        """What a future raises whose worker died."""
        ...

    def submit(self, job: ScanJob, work: TileWork) -> Future[TileOutcome]:
        """Has a worker run a tile."""
        ...

    def renew(self) -> None:
        """Makes sure, after a loss, that there are workers again."""
        ...

    def close(self) -> None:
        """Stops what is under way, and the workers if they are the pool's own."""
        ...


def run_on_pool(pool: WorkerPool, job: ScanJob, works: Iterable[TileWork]) -> Generator[TileOutcome]:
    """Yields the outcomes as they come; closes the pool at the end."""
    waiting = iter(works)
    with closing(pool):
        while True:
            lost: list[TileWork] = []
            yield from _run_until_loss(pool, job, waiting, lost)
            if not lost:
                return
            pool.renew()
            for work in sorted(lost, key=lambda each: each.number):
                yield _run_alone(pool, job, work)


def _run_until_loss(
    pool: WorkerPool, job: ScanJob, waiting: Iterator[TileWork], lost: list[TileWork]
) -> Generator[TileOutcome]:
    """Keeps the workers busy until there is no more to do, or one died; then waits for what is under way."""
    flying: dict[Future[TileOutcome], TileWork] = {}
    while True:
        if not lost:
            flying |= _submit(pool, job, islice(waiting, max(0, pool.in_flight - len(flying))), lost)
        if not flying:
            return
        done, _ = wait(flying, return_when=FIRST_COMPLETED)
        for future in done:
            work = flying.pop(future)
            try:
                outcome = future.result()
            except pool.lost:
                lost.append(work)
            else:
                yield outcome


def _submit(
    pool: WorkerPool, job: ScanJob, works: Iterator[TileWork], lost: list[TileWork]
) -> dict[Future[TileOutcome], TileWork]:
    flying = {}
    for work in works:
        try:
            flying[pool.submit(job, work)] = work
        except pool.lost:  # which a pool may know before anybody waits for what it lost
            lost.append(work)
            break
    return flying


def _run_alone(pool: WorkerPool, job: ScanJob, work: TileWork) -> TileOutcome:
    reason: BaseException | None = None
    for _ in range(pool.attempts_alone):
        try:
            return pool.submit(job, work).result()
        except pool.lost as error:
            reason = error
            pool.renew()
    return TileOutcome(
        work, failure=f"the worker died each time it ran this tile, also alone ({type(reason).__name__})"
    )
