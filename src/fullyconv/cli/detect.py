"""`fullyconv detect`: objects in large images, as boxes and as pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fullyconv.cli.detect_options import DetectOptions
from fullyconv.cli.engine_options import EngineOptions
from fullyconv.cli.grid_options import GridOptions
from fullyconv.cli.large_options import LargeOptions
from fullyconv.cli.runtime_options import RuntimeOptions
from fullyconv.errors import ImageError, MissingExtraError

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from fullyconv.cli.detect_results import Found, Search
    from fullyconv.detect import Detection, DetectSettings
    from fullyconv.rewrite.dense_model import DenseModel
    from fullyconv.scan import Progress

_OPTIONS, _GRID, _RUNTIME = DetectOptions(), GridOptions(), RuntimeOptions()
_ENGINE, _LARGE = EngineOptions(), LargeOptions()


def detect(  # noqa: PLR0913 - one for each option; five are flattened settings
    model: Path,
    /,
    *images: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    pictures: bool = True,
    options: DetectOptions = _OPTIONS,
    grid: GridOptions = _GRID,
    runtime: RuntimeOptions = _RUNTIME,
    engine: EngineOptions = _ENGINE,
    large: LargeOptions = _LARGE,
) -> int:
    """Finds objects in images of any size; for each it writes NAME.json with boxes and NAME.png to look at.

    Images of more than 67 megapixels, slides, and all with --workers, --scheduler, --threads or --bands are searched
    part by part, in the memory that --memory says; their scores lie on disk meanwhile, in NAME.scan, and the same
    command again goes on where it stopped. Exit code 1 if some images of several, or parts of one, could not be done.

    Args:
        model: a converted network, written by fullyconv convert.
        images: image files, and folders of them.
        output: the folder for the results; made if it is not there.
        pictures: write pictures with boxes and heat.
        options: what to look for, at which sizes, and when two boxes are one object.
        grid: how finely to look, and where padding is.
        runtime: what runs the network.
        engine: which processes or machines compute.
        large: what becomes of the scores of large images.
    """
    from fullyconv.allocator import keep_freed_memory
    from fullyconv.atomic import use_folder
    from fullyconv.cli.detect_results import Search, choose_targets
    from fullyconv.cli.network import describe_network
    from fullyconv.cli.scan_options import parse_bands
    from fullyconv.detect.large import ORDINARY_PIXELS, LargeSearch
    from fullyconv.images import find_images
    from fullyconv.scan.planning import SCAN_MEMORY_BYTES

    keep_freed_memory()
    settings, bands = options.to_settings(), parse_bands(large.bands)
    paths = find_images(images)
    targets = choose_targets(paths, output)
    dense = _open_network(model, paths, settings, grid, runtime)
    prepared = LargeSearch(
        network=describe_network(model, dense, grid, runtime),
        model_name=str(model.resolve()),
        dense=dense,
        engine=engine.choose(dense),
        settings=options.to_settings(SCAN_MEMORY_BYTES),
        threads=engine.threads,
        overwrite=large.overwrite,
        retry_failed=large.retry_failed,
    )
    is_memory_enough = engine == EngineOptions() and bands is None
    search = Search(model, prepared, settings, pictures, bands, ORDINARY_PIXELS if is_memory_enough else 0)
    search.check_classes()
    with use_folder(output), _show_bars() as bars:
        found, failures = _search_all(search, list(zip(paths, targets, strict=True)), bars)
    if not large.keep_scores:
        _remove_scans(found.values())
    return _report(found, failures, len(paths))


def _open_network(
    model: Path, images: Sequence[Path], settings: DetectSettings, grid: GridOptions, runtime: RuntimeOptions
) -> DenseModel:
    import fullyconv
    from fullyconv.detect.work import measure_work

    fine = grid.apply(fullyconv.load(model))
    dense = runtime.place(fine, lambda: measure_work(fine, images, settings))
    if dense.choice is not None:
        print(f"fullyconv: {dense.choice}", file=sys.stderr)
    return dense


def _search_all(
    search: Search, work: Sequence[tuple[Path, Path]], bars: Bars
) -> tuple[dict[Path, Found], tuple[str, ...]]:
    """Searches each image; returns what was found, and why some could not be: of only one, that is an error."""
    done, failures = {}, []
    for number, (image, target) in enumerate(work, start=1):
        if search.is_left_alone(target):
            print(f"{image}: nothing was left to do; {target}.json", flush=True)
            continue
        try:
            with _show_bar(bars, f"{image.name} ({number}/{len(work)})") as progress:
                found = search.run(image, target, progress)
        except (ImageError, MissingExtraError) as error:
            message = str(error) if str(image) in str(error) else f"{image}: {error}"
            if len(work) == 1:
                raise type(error)(message) from error
            failures.append(message)
        else:
            print(f"{image}: {_summarise(found.detections)}; {target}.json", flush=True)
            done[image] = found
    return done, tuple(failures)


def _remove_scans(found: Iterable[Found]) -> None:
    """Removes the scores of images that are whole, now that no image of the batch is left to go on with."""
    from fullyconv.detect.large import remove_scans

    for each in found:
        if each.scans is not None and each.is_whole:
            remove_scans(each.scans)


def _summarise(detections: Sequence[Detection]) -> str:
    if not detections:
        return "nothing found"
    best, count = detections[0], len(detections)
    return f"{count} {'box' if count == 1 else 'boxes'}, best {best.class_name} {best.score:.3f}"


def _report(found: Mapping[Path, Found], failures: Sequence[str], total: int) -> int:
    from fullyconv.cli.scan_failures import report_tiles

    if failures:
        print(f"fullyconv: {len(failures)} of {total} images could not be done:", file=sys.stderr)
    for message in failures:
        print(f"  {' '.join(message.split())}", file=sys.stderr)
    for image, each in found.items():
        report_tiles(image, each.failures)
        if each.no_picture:
            print(f"fullyconv: {image}: no picture was written: {each.no_picture}", file=sys.stderr)
    return 1 if failures or not all(each.is_whole for each in found.values()) else 0


def _show_bars() -> Bars:
    """Returns progress bars for a terminal; they write nothing where stderr is none."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    # Lines on a terminal's stdout must pass above the bars; those into a pipe must not be led to stderr.
    redirect = sys.stdout.isatty()
    return Progress(console=console, disable=not console.is_terminal, redirect_stdout=redirect, transient=True)


@contextmanager
def _show_bar(bars: Bars, label: str) -> Iterator[Progress]:
    task = bars.add_task(label, total=None)
    try:
        yield lambda done, total: bars.update(task, completed=done, total=total)
    finally:
        bars.remove_task(task)
