"""`fullyconv scan`: the scores of images of any size, on disk, from this machine or many."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fullyconv.cli.engine_options import EngineOptions
from fullyconv.cli.grid_options import GridOptions
from fullyconv.cli.runtime_options import RuntimeOptions
from fullyconv.cli.scan_options import ScanOptions
from fullyconv.errors import FullyconvError

if TYPE_CHECKING:
    from fullyconv.cli.scan_results import Scanning, Written

_OPTIONS, _GRID, _RUNTIME, _ENGINE = ScanOptions(), GridOptions(), RuntimeOptions(), EngineOptions()


def scan(  # noqa: PLR0913 - one for each option; four are flattened settings
    model: Path,
    /,
    *images: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    where: str | None = None,
    options: ScanOptions = _OPTIONS,
    grid: GridOptions = _GRID,
    runtime: RuntimeOptions = _RUNTIME,
    engine: EngineOptions = _ENGINE,
    log: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative=())] = False,
    retry_failed: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Writes the scores of an image of any size, slides and scenes included, in bounded memory.

    The same command again goes on where it stopped, whatever stopped it; when nothing is left it does nothing. Beside
    OUT.zarr, the score map, lies OUT.sqlite, which says what is done. Exit code 1 if some parts of an image could not
    be read; all others are done, and --retry-failed runs only those.

    Args:
        model: a converted network, written by fullyconv convert.
        images: an image, or several.
        output: the score map, a name that ends in .zarr; of several images a folder, with NAME.zarr for each.
        where: scan only there: a mask image, a GeoJSON file, or the word tissue; elsewhere is NaN and costs nothing.
        options: what to scan at which resolution, and what to keep.
        grid: how finely to look, and where padding is.
        runtime: what runs the network.
        engine: which processes or machines compute.
        log: a file to which a line of JSON is added for each tile.
        overwrite: begin anew, in place of a scan that is there.
        retry_failed: run those parts again that could not be read, also from an image that was mended since.
    """
    from fullyconv.allocator import keep_freed_memory
    from fullyconv.cli.scan_results import Scanning, choose_outputs

    keep_freed_memory()
    outputs = choose_outputs(images, output)
    scanning = Scanning.prepare(model, options, grid, runtime, engine)
    scanning = scanning.with_files(where=where, overwrite=overwrite, retry_failed=retry_failed)
    with nullcontext() if log is None else log.open("a", encoding="utf-8") as lines:
        written, problems = _scan_all(scanning.with_log(lines), list(zip(images, outputs, strict=True)))
    return _report(written, problems)


def _scan_all(scanning: Scanning, work: Sequence[tuple[Path, Path]]) -> tuple[list[Written], list[str]]:
    """Scans each image; of several, one that cannot be scanned does not keep the others from it."""
    written, problems = [], []
    for image, output in work:
        try:
            result = scanning.run(image, output)
        except FullyconvError as error:
            if len(work) == 1:
                raise
            problems.append(str(error) if str(image) in str(error) else f"{image}: {error}")
        else:
            print(result.summarise(), flush=True)
            if result.summary.is_mended:
                print(
                    f"fullyconv: {image} has changed since: of the new one, only what had failed was read",
                    file=sys.stderr,
                )
            written.append(result)
    return written, problems


def _report(written: Sequence[Written], problems: Sequence[str]) -> int:
    from fullyconv.cli.scan_failures import report_tiles

    for message in problems:
        print(f"fullyconv: {' '.join(message.split())}", file=sys.stderr)
    for result in written:
        report_tiles(result.image, list(result.summary.failures.values()), more="; --log FILE lists all")
    return 1 if problems or any(result.summary.failures for result in written) else 0
