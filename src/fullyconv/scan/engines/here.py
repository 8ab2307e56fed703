"""The engine of one process: a thread reads ahead while the network runs on what was read."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from fullyconv.allocator import measure_resident_bytes
from fullyconv.scan.engines.engine import ReadTile, TileOutcome, compute_tile, read_tile
from fullyconv.scan.job import ScanJob, TileWork
from fullyconv.scan.scorer import DenseScorer

# One tile is read while another is computed. A second ahead would only help where reading one tile takes longer than
# computing the one before, now and then; it would cost a tile of memory always.
_AHEAD = 1


@dataclass(frozen=True, slots=True)
class InProcess:
    """Runs the network in this process, on all its threads.

    Attributes:
        dense: the network, open.
    """

    dense: DenseScorer

    def run(self, job: ScanJob, works: Iterable[TileWork]) -> Generator[TileOutcome]:
        """Yields the outcomes in the order of the works."""
        base_bytes = measure_resident_bytes()
        with closing(_read_ahead(job, iter(works))) as reads:
            for read in reads:
                yield compute_tile(self.dense, job, read, base_bytes=base_bytes)


def _read_ahead(job: ScanJob, works: Iterator[TileWork]) -> Generator[ReadTile]:
    # The image is opened, read and closed by the one thread that reads.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader") as reader:
        source = reader.submit(job.image.open).result()
        try:
            reading = [reader.submit(read_tile, source, job, work) for work in islice(works, _AHEAD)]
            while reading:
                done = reading.pop(0).result()
                reading += [reader.submit(read_tile, source, job, work) for work in islice(works, 1)]
                yield done
        finally:
            for future in reading:
                future.cancel()
            reader.submit(source.close).result()
