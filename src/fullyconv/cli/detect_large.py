"""What `fullyconv detect` does with an image that is too large for memory, or of a format that is read by region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fullyconv.cli.scan_finish import finish_scan
from fullyconv.detect import Detection
from fullyconv.detect.large import LargeSearch, LevelScan, collect_scans, scan_levels
from fullyconv.errors import RegionError
from fullyconv.export.picture import choose_size, draw_scan, write_picture
from fullyconv.export.scan_files import show_scores
from fullyconv.grid import Pair
from fullyconv.images.opening import describe_source
from fullyconv.images.source import SourceSpec
from fullyconv.images.stored import Bands
from fullyconv.scan import Progress, choose_classes, name_scores
from fullyconv.scan.outputs import measure_outputs
from fullyconv.scan.score_store import ScoreStore

# Drawing takes about sixty bytes for each pixel of the picture: a quarter of a gigabyte, however large the image is.
_LONGEST_PX = 2048


@dataclass(frozen=True, slots=True)
class LargeFound:
    """What came of a large image.

    Attributes:
        detections: highest score first.
        size: of the image, `(height, width)`.
        failures: why parts of it could not be done, with where they lie.
        no_picture: why there is no picture; "" if there is one, or none was asked for.
    """

    detections: tuple[Detection, ...]
    size: Pair
    failures: tuple[str, ...]
    no_picture: str = ""


def search_large(
    search: LargeSearch,
    image: Path,
    folder: Path,
    *,
    picture: Path | None,
    bands: Bands | None,
    progress: Progress,
) -> LargeFound:
    """Searches an image, or goes on with it; writes the picture, if one is asked for.

    Args:
        search: what to look for with what.
        image: the image.
        folder: where the scans go, and stay.
        picture: where the picture goes.
        bands: of an image with many bands, which to take.
        progress: called after each tile with the pixels done and those there are.

    Raises:
        FullyconvError: the image cannot be read, or the scans or the picture not written.
    """
    settings = search.settings
    finish = partial(finish_scan, nms_iou=settings.nms_iou, nms_across_classes=settings.nms_across_classes)
    spec = describe_source(image, bands=bands)
    scans = scan_levels(search, spec, folder, progress=progress, finish=finish)
    found = collect_scans(scans, settings)
    failures = tuple(
        f"at {scan.level.scale:g}: {failure}" for scan in scans for failure in scan.summary.failures.values()
    )
    no_picture = "" if picture is None else _draw(search, spec, scans, found, picture)
    return LargeFound(found, scans[0].order.description.image.full_size, failures, no_picture)


def _draw(
    search: LargeSearch, image: SourceSpec, scans: Sequence[LevelScan], found: Sequence[Detection], picture: Path
) -> str:
    """Writes the picture; returns why there is none where a damaged part of the image is in the way."""
    source = image.open()
    stores = [ScoreStore.open(scan.order.output) for scan in scans]
    shown = [
        show_scores(store, choose_classes(store.description.outputs, store.description.card, search.settings.classes))
        for store in stores
    ]
    classes = name_scores(search.dense.card, measure_outputs(search.dense, search.settings.output)[0])
    try:
        size = choose_size(source.levels[0].size, _LONGEST_PX)
        drawn = draw_scan(source, shown, found, size=size, classes=classes, bands=image.bands)
    except RegionError as error:
        return str(error)
    finally:
        source.close()
    write_picture(picture, drawn)
    return ""
