"""Objects in an image of any size: one scan on disk for each size that it is looked at, then all boxes together.

    FOLDER/0.zarr, 0.sqlite     the first size of the pyramid; see `fullyconv.scan.driver`
    FOLDER/1.zarr, 1.sqlite     the next

Interrupted, the same call goes on where it stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fullyconv.detect.detection import Detection, FoundCells, join_levels
from fullyconv.detect.from_scan import settle_scan
from fullyconv.detect.pyramid import Level, plan_pyramid
from fullyconv.detect.settings import DetectSettings
from fullyconv.errors import ImageError, OutputError
from fullyconv.grid import Pair
from fullyconv.images.listing import WSI_SUFFIXES
from fullyconv.images.opening import describe_source
from fullyconv.images.read import LARGEST_PIXELS, read_size
from fullyconv.images.scaled_source import ScaledSpec
from fullyconv.images.source import SourceSpec
from fullyconv.scan import DenseScorer, Progress
from fullyconv.scan.driver import ScanOrder, ScanSummary, name_ledger, run_scan
from fullyconv.scan.engines import Engine
from fullyconv.scan.ledger import Ledger
from fullyconv.scan.network import NetworkSpec
from fullyconv.scan.planning import ScanPlan, ScanSettings, ScanTarget, plan_scan
from fullyconv.scan.score_store import ScoreStore

ORDINARY_PIXELS = 2**26
"""The most pixels of an image that is searched in memory: RGB of so many takes 192 MiB, its copy at another scale as
much; with the 512 MB that running the network takes, about a gigabyte."""

# An image beyond a gigapixel may become so many times as large: windows then show objects of a quarter of their side.
# Larger sizes are slips of the pen, which would be scanned for years.
_LARGEST_GROWTH = 16

Finish = Callable[[ScanOrder, ScoreStore, Ledger], None]


@dataclass(frozen=True, slots=True)
class LargeSearch:
    """What searching several images has in common.

    Attributes:
        network: which network, for workers to open.
        model_name: what people call it.
        dense: the network, open.
        engine: what computes.
        settings: how to look; `memory_bytes` is what each process may take in all, beside the network.
        threads: how many threads torch computes a tile with; None for what the engine chooses.
        overwrite: begin anew, whatever is there.
        retry_failed: run those tiles again that failed, also from an image that was mended since.
    """

    network: NetworkSpec
    model_name: str
    dense: DenseScorer
    engine: Engine
    settings: DetectSettings
    threads: int | None = None
    overwrite: bool = False
    retry_failed: bool = False


@dataclass(frozen=True, slots=True)
class LevelScan:
    """The scan of an image at one size.

    Attributes:
        level: the size.
        order: what was asked for.
        summary: how it ended.
    """

    level: Level
    order: ScanOrder
    summary: ScanSummary


def measure_image(path: Path) -> Pair:
    """Returns an image's `(height, width)`, whatever its format; of formats that Pillow knows nothing else is read.

    Raises:
        ImageError: there is no such image, or it cannot be read by region.
        MissingExtraError: reading it needs an optional dependency.
    """
    size = _measure_picture(path)
    if size is not None:
        return size
    return _read_size(describe_source(path))


def is_ordinary(path: Path, window: Pair, settings: DetectSettings, *, most_px: int = ORDINARY_PIXELS) -> bool:
    """Returns whether an image is one to be searched in memory: Pillow knows it, and at every scale it is small.

    Args:
        path: of the image.
        window: the network's, `(height, width)` in pixels.
        settings: at which sizes it is looked at.
        most_px: the most pixels that the image, and each of its sizes, may have.

    Raises:
        ImageError: the image is smaller than the window at every scale.
    """
    size = _measure_picture(path)
    if size is None:
        return False
    levels = plan_large_pyramid(size, window, settings)
    return max(height * width for height, width in (size, *(level.size for level in levels))) <= most_px


def plan_large_pyramid(image_size: Pair, window: Pair, settings: DetectSettings) -> tuple[Level, ...]:
    """Returns the sizes to look at, for images that are never held in memory; see `plan_pyramid`.

    Raises:
        ImageError: the image is smaller than the window at every scale, or grows beyond all measure at one.
    """
    largest_px = max(LARGEST_PIXELS, _LARGEST_GROWTH * image_size[0] * image_size[1])
    return plan_pyramid(image_size, window, settings, largest_px=largest_px)


def scan_levels(
    search: LargeSearch,
    image: SourceSpec,
    folder: Path,
    *,
    progress: Progress | None = None,
    finish: Finish | None = None,
) -> tuple[LevelScan, ...]:
    """Scans an image at every size that the settings ask for, or goes on with it.

    Args:
        search: what to look for with what.
        image: the image.
        folder: where the scans go.
        progress: called after each tile with the pixels done and those there are, over all sizes.
        finish: called at the end of each scan, as `run_scan` does.

    Raises:
        ImageError: the image is smaller than the window at every scale, or its channels do not suit the network.
        OptionError: what is there is of another search; there is no such output or class.
        OutputError: it cannot be written, or another process is writing there.
    """
    full_size = _read_size(image)
    levels = plan_large_pyramid(full_size, search.dense.grid.window_px, search.settings)
    images = [image if level.size == full_size else ScaledSpec(image, level.size) for level in levels]
    plans = [_plan(search, ScanTarget(scaled, 0, image)) for scaled in images]
    orders = [
        plan.order(folder / f"{number}.zarr", overwrite=search.overwrite, retry_failed=search.retry_failed)
        for number, plan in enumerate(plans)
    ]
    pixels = [level.size[0] * level.size[1] for level in levels]
    scans = []
    for number, (level, order) in enumerate(zip(levels, orders, strict=True)):
        step = progress and partial(_add, progress, sum(pixels[:number]), pixels[number], sum(pixels))
        end = finish and partial(finish, order)
        scans.append(LevelScan(level, order, run_scan(order, search.engine, progress=step, finish=end)))
    return tuple(scans)


def collect_scans(scans: Sequence[LevelScan], settings: DetectSettings) -> tuple[Detection, ...]:
    """Returns the objects that the scans of all sizes show, highest score first; see `find_detections`.

    Raises:
        ImageError: a scan is not there, or is damaged.
    """
    description = scans[0].order.description
    return join_levels(
        [_settle(each) for each in scans],
        description.outputs,
        image_size=description.image.full_size,
        nms_iou=settings.nms_iou,
        nms_across_classes=settings.nms_across_classes,
    )


def remove_scans(folder: Path) -> None:
    """Removes the scans in a folder, and the folder if nothing else is in it.

    Raises:
        OutputError: something cannot be removed.
    """
    try:
        for ledger in folder.glob("[0-9]*.sqlite"):
            shutil.rmtree(ledger.with_suffix(".zarr"), ignore_errors=True)
            ledger.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be removed ({error.strerror}); remove it yourself") from None


def _measure_picture(path: Path) -> Pair | None:
    if path.suffix.lower() in WSI_SUFFIXES:  # some of which begin as a picture does, that of the label
        return None
    try:
        return read_size(path)
    except ImageError:  # unless it is of another format, opening it tells
        return None


def _read_size(image: SourceSpec) -> Pair:
    source = image.open()
    try:
        return source.levels[0].size
    finally:
        source.close()


def _plan(search: LargeSearch, target: ScanTarget) -> ScanPlan:
    asked = search.settings
    settings = ScanSettings(asked.memory_bytes, asked.output, asked.classes, asked.threshold, search.threads)
    return plan_scan(search.network, search.dense, target, settings, model_name=search.model_name)


def _settle(scan: LevelScan) -> FoundCells:
    order = scan.order
    assert order.seeking is not None, "a search has a threshold"
    with Ledger.read(name_ledger(order.output)) as ledger:
        return settle_scan(ScoreStore.open(order.output), ledger, order.job.plan, order.seeking, scan.level)


def _add(progress: Progress, before: int, pixels: int, total: int, done: int, whole: int) -> None:
    progress(before + (pixels * done // whole if whole else pixels), total)
