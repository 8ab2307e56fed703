"""`fullyconv detect`: objects in large images, as boxes and as pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fullyconv.cli.detect_options import DetectOptions
from fullyconv.cli.grid_options import GridOptions
from fullyconv.cli.runtime_options import RuntimeOptions
from fullyconv.errors import ImageError

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from fullyconv.cli.detect_results import Search
    from fullyconv.detect import Detection
    from fullyconv.scan import Progress

_AS_THEY_ARE, _AS_CONVERTED, _AS_IT_IS = DetectOptions(), GridOptions(), RuntimeOptions()


def detect(
    model: Path,
    /,
    *images: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    pictures: bool = True,
    options: DetectOptions = _AS_THEY_ARE,
    grid: GridOptions = _AS_CONVERTED,
    runtime: RuntimeOptions = _AS_IT_IS,
) -> int:
    """Finds objects in images of any size; for each it writes NAME.json with boxes and NAME.png to look at.

    Exit code 1 if some images of several could not be done; they are listed at the end.

    Args:
        model: a converted network, written by fullyconv convert.
        images: image files, and folders of them.
        output: the folder for the results; made if it is not there.
        pictures: write pictures with boxes and heat.
        options: what to look for, at which sizes, and when two boxes are one object.
        grid: how finely to look, and where padding is.
        runtime: what runs the network.
    """
    import fullyconv
    from fullyconv.atomic import use_folder
    from fullyconv.cli.detect_results import Search, choose_targets
    from fullyconv.detect.work import measure_work
    from fullyconv.images import find_images
    from fullyconv.runtime.allocator import keep_freed_memory

    keep_freed_memory()
    settings = options.to_settings()
    found = find_images(images)
    targets = choose_targets(found, output)
    fine = grid.apply(fullyconv.load(model))
    dense = runtime.place(fine, lambda: measure_work(fine, found, settings))
    if dense.choice is not None:
        print(f"fullyconv: {dense.choice}", file=sys.stderr)
    search = Search(model=model, dense=dense, settings=settings, pictures=pictures)
    search.check_classes()
    with use_folder(output), _show_bars() as bars:
        failures = _search_all(search, zip(found, targets, strict=True), bars, total=len(found))
    return _report_failures(failures, len(found))


def _search_all(search: Search, work: Iterable[tuple[Path, Path]], bars: Bars, *, total: int) -> tuple[str, ...]:
    """Searches each image; returns why some could not be, unless there was only one: that is an error."""
    failures = []
    for number, (image, target) in enumerate(work, start=1):
        try:
            with _show_bar(bars, f"{image.name} ({number}/{total})") as progress:
                detections = search.run(image, target, progress)
        except ImageError as error:
            message = str(error) if str(image) in str(error) else f"{image}: {error}"
            if total == 1:
                raise ImageError(message) from error
            failures.append(message)
        else:
            print(f"{image}: {_summarise(detections)}; {target}.json", flush=True)
    return tuple(failures)


def _summarise(detections: Sequence[Detection]) -> str:
    if not detections:
        return "nothing found"
    best, count = detections[0], len(detections)
    return f"{count} {'box' if count == 1 else 'boxes'}, best {best.class_name} {best.score:.3f}"


def _report_failures(failures: Sequence[str], total: int) -> int:
    if failures:
        print(f"fullyconv: {len(failures)} of {total} images could not be done:", file=sys.stderr)
    for message in failures:
        print(f"  {' '.join(message.split())}", file=sys.stderr)
    return 1 if failures else 0


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
