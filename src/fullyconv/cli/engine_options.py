"""Options that say which processes or machines compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopts import Parameter

from fullyconv.errors import OptionError

if TYPE_CHECKING:
    from fullyconv.scan.engines import Engine
    from fullyconv.scan.scorer import DenseScorer


@Parameter(name="*")
@dataclass(frozen=True)
class EngineOptions:
    """What computes.

    Attributes:
        workers: so many processes on this machine, which share its cores; by default this process alone.
        scheduler: the workers of a Dask cluster, by its scheduler's address, such as tcp://node1:8786; each may take
            --memory. They need fullyconv, and the same files under the same paths.
        threads: how many threads each of them computes with; by default the cores there are, shared by the workers.
            The same number gives the same bytes, whatever computes; another differs by what float32 rounds.
    """

    workers: int | None = None
    scheduler: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.scheduler is not None:
            raise OptionError("--workers and --scheduler: expected one of them, got both; leave one out")
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"--workers: expected at least 1, got {self.workers}")

    def choose(self, dense: DenseScorer) -> Engine:
        """Returns the engine; `dense` is the network, open in this process."""
        from fullyconv.scan.engines import Cluster, InProcess, Processes

        if self.scheduler is not None:
            return Cluster(self.scheduler)
        return InProcess(dense) if self.workers is None else Processes(self.workers)
