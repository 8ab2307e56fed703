"""A Dask cluster: whatever machines its workers are on, if they see the same files."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any

from fullyconv.errors import OptionError, require_extra
from fullyconv.scan.engines.engine import TileOutcome, run_tile
from fullyconv.scan.engines.pool import run_on_pool
from fullyconv.scan.job import ScanJob, TileWork


@dataclass(frozen=True, slots=True)
class Cluster:
    """Runs tiles on the workers of the Dask scheduler at `address`, such as `tcp://node1:8786`.

    The workers need fullyconv installed, and the network and the image under the same paths as here. So many `seconds`
    are allowed for the scheduler to answer, and for its first worker.
    """

    address: str
    seconds: float = 30.0

    def run(self, job: ScanJob, works: Iterable[TileWork]) -> Generator[TileOutcome]:
        """Yields the outcomes as they come.

        Raises:
            MissingExtraError: Dask is not installed.
            OptionError: no scheduler answers there, or it has no workers, or it went away.
        """
        try:
            yield from run_on_pool(_Pool(self.address, self.seconds), job, works)
        except CancelledError:
            raise OptionError(
                f"{self.address}: the scheduler went away; what is done is kept: start it and give the same "
                "command again"
            ) from None


class _Pool:
    attempts_alone = 1  # before Dask gives a tile up it has lost several workers (its allowed-failures)

    def __init__(self, address: str, seconds: float) -> None:
        distributed = require_extra("distributed", "dask")
        self.lost: tuple[type[BaseException], ...] = (distributed.KilledWorker,)
        try:
            self._client: Any = distributed.Client(address, timeout=seconds, set_as_default=False)
        except (OSError, ValueError) as error:
            raise OptionError(
                f"{address}: expected a Dask scheduler, and none answers ({error}); start one, or leave --scheduler out"
            ) from None
        self._wait_for_workers(address, seconds)
        self._executor = self._client.get_executor(pure=False)

    @property
    def in_flight(self) -> int:
        """One tile for each thread of each worker that there is now, and one more for each worker."""
        threads: dict[str, int] = self._client.nthreads()
        return max(1, sum(threads.values()) + len(threads))

    def submit(self, job: ScanJob, work: TileWork) -> Future[TileOutcome]:
        future: Future[TileOutcome] = self._executor.submit(run_tile, job, work)
        return future

    def renew(self) -> None:
        """Does nothing: the cluster's nannies start workers that died."""

    def close(self) -> None:
        self._executor.shutdown(wait=False)
        self._client.close()

    def _wait_for_workers(self, address: str, seconds: float) -> None:
        try:
            self._client.wait_for_workers(1, timeout=seconds)
        except TimeoutError:
            self._client.close()
            raise OptionError(f"{address}: the scheduler has no workers; start some and try again") from None
