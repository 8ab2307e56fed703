"""What a scan asks of an engine, and what every worker of every engine does with a tile."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from fullyconv.allocator import measure_resident_bytes, release_freed_memory
from fullyconv.errors import ImageError
from fullyconv.images import Image8
from fullyconv.images.source import Source, SourceSpec
from fullyconv.scan.job import ScanJob, Scores, TileWork, read_pieces, score_pieces
from fullyconv.scan.memory import KEPT_SHARE
from fullyconv.scan.network import NetworkSpec
from fullyconv.scan.scorer import DenseScorer


@dataclass(frozen=True, slots=True, eq=False)
class TileOutcome:
    """A tile that is done, or that failed.

    Attributes:
        work: which.
        scores: `(K, rows, columns)`, NaN where they are not wanted; None if it failed.
        failure: why it failed, in one line; "" if it did not.
        reading_seconds: what its pixels took.
        computing_seconds: what its scores took.
    """

    work: TileWork
    scores: Scores | None = None
    failure: str = ""
    reading_seconds: float = 0.0
    computing_seconds: float = 0.0


class Engine(Protocol):
    """Computes tiles, in any order; none is lost."""

    def run(self, job: ScanJob, works: Iterable[TileWork]) -> Generator[TileOutcome]:
        """Yields an outcome for each work; closing the iterator stops what is under way.

        An image that cannot be read at a tile is that tile's failure; what is wrong with the network or its options
        is raised, since every other tile would end the same way.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ReadTile:
    """A tile's pixels, or why there are none.

    Attributes:
        work: which tile.
        images: of each piece, uint8 `(H, W, C)`; none if it failed.
        failure: why, in one line; "" if it did not.
        seconds: what it took.
    """

    work: TileWork
    images: tuple[Image8, ...] = ()
    failure: str = ""
    seconds: float = 0.0


def read_tile(source: Source, job: ScanJob, work: TileWork) -> ReadTile:
    """Returns the pixels of a tile; those that the image does not give are a failure, told in one line."""
    start = perf_counter()
    try:
        images = tuple(read_pieces(source, job, work))
    except ImageError as error:
        return ReadTile(work, failure=" ".join(str(error).split()), seconds=perf_counter() - start)
    return ReadTile(work, images, seconds=perf_counter() - start)


def compute_tile(dense: DenseScorer, job: ScanJob, read: ReadTile, *, base_bytes: int) -> TileOutcome:
    """Returns the scores of a tile that was read, or its failure.

    Args:
        dense: the network.
        job: the scan.
        read: the tile's pixels.
        base_bytes: what the process had before its first tile; what it keeps of freed memory beyond has its share of
            the budget.
    """
    if read.failure:
        return TileOutcome(read.work, failure=read.failure, reading_seconds=read.seconds)
    start = perf_counter()
    scores = score_pieces(dense, job, read.work, read.images)
    release_freed_memory(base_bytes + int(job.memory_bytes * KEPT_SHARE))
    return TileOutcome(read.work, scores, reading_seconds=read.seconds, computing_seconds=perf_counter() - start)


def run_tile(job: ScanJob, work: TileWork) -> TileOutcome:
    """Reads and computes a tile; network and image are opened once in each process, the image in each thread."""
    dense, base_bytes = _open_network(job.network)
    return compute_tile(dense, job, read_tile(_open_image(job.image), job, work), base_bytes=base_bytes)


class _OpenImages(threading.local):
    """The image that a thread has open: handles of image libraries are not shared."""

    spec: SourceSpec | None = None
    source: Source | None = None


_images = _OpenImages()
_networks: dict[NetworkSpec, tuple[DenseScorer, int]] = {}
_opening = threading.Lock()


def _open_image(spec: SourceSpec) -> Source:
    if _images.source is None or _images.spec != spec:
        if _images.source is not None:
            _images.source.close()
        _images.source, _images.spec = spec.open(), spec
    return _images.source


def _open_network(spec: NetworkSpec) -> tuple[DenseScorer, int]:
    """Returns the network, and what the process had when it was open."""
    with _opening:  # of several threads of a worker one loads the network; the others wait for it
        if spec not in _networks:
            _networks.clear()  # that of a scan before this one
            dense = spec.open()
            _networks[spec] = dense, measure_resident_bytes()
        return _networks[spec]
