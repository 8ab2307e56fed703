"""Several processes on this machine, each with the network and the image open for itself."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import torch

from fullyconv.allocator import keep_freed_memory
from fullyconv.errors import OptionError
from fullyconv.scan.engines.engine import TileOutcome, run_tile
from fullyconv.scan.engines.pool import run_on_pool
from fullyconv.scan.job import ScanJob, TileWork


@dataclass(frozen=True, slots=True)
class Processes:
    """Runs tiles in `workers` processes, which share the processor's cores.

    They are spawned, never forked: neither torch nor the libraries that read images survive a fork.
    """

    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise OptionError(f"workers: expected at least 1, got {self.workers}")

    def run(self, job: ScanJob, works: Iterable[TileWork]) -> Generator[TileOutcome]:
        """Yields the outcomes as they come."""
        return run_on_pool(_Pool(self.workers), job, works)


class _Pool:
    lost = (BrokenProcessPool,)
    attempts_alone = 2  # it was under way when a worker died; twice more is no chance

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor = _start(workers)

    @property
    def in_flight(self) -> int:
        return self._workers + 1  # the next one waits, so that no worker does

    def submit(self, job: ScanJob, work: TileWork) -> Future[TileOutcome]:
        return self._executor.submit(run_tile, job, work)

    def renew(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = _start(self._workers)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)


def _start(workers: int) -> ProcessPoolExecutor:
    threads = max(1, (os.cpu_count() or 1) // workers)
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker, initargs=(threads,))


def _prepare_worker(threads: int) -> None:
    torch.set_num_threads(threads)
    keep_freed_memory()
