"""What of a scan is written to which file: the file's suffix decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import fullyconv
from fullyconv.detect import Detection
from fullyconv.errors import FullyconvError, ImageError, OptionError, require_extra
from fullyconv.export.geotiff import RasterFacts, write_geotiff
from fullyconv.export.picture import ShownScores, choose_size, draw_scan, write_picture
from fullyconv.export.qupath import ObjectType, write_qupath
from fullyconv.export.scan_files import open_levels, read_detections
from fullyconv.export.table import write_table
from fullyconv.grid import format_size
from fullyconv.images.opening import describe_source
from fullyconv.images.source import Source
from fullyconv.images.stored import Bands
from fullyconv.scan import choose_classes
from fullyconv.scan.score_store import ScoreStore


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How to export.

    Attributes:
        classes: only these; None for all scores of a raster, and for all but the background elsewhere.
        longest_px: of a picture, the longer side.
        objects: as what QuPath is to take boxes.
        image: where the image is now, for a picture; None for where it was when it was scanned.
        bands: of an image with many bands, which a picture shows.
    """

    classes: tuple[str, ...] | None = None
    longest_px: int = 2048
    objects: ObjectType = "detection"
    image: Path | None = None
    bands: Bands | None = None


def check_targets(store: ScoreStore, targets: Sequence[Path], settings: ExportSettings) -> None:
    """Checks all that can be before anything is written.

    Raises:
        OptionError: a suffix is not known; a target is the image, or there twice; a class is not known.
        MissingExtraError: a target needs an optional dependency.
    """
    image = _find_image(store, settings).resolve()
    choose_classes(store.description.outputs, store.description.card, settings.classes)
    for target in targets:
        if target.suffix.lower() not in _EXPORTS:
            raise OptionError(
                f"{target}: expected a name that ends in .tif (score map), .geojson or .csv (boxes) or .png (picture), "
                f"got {target.suffix or 'none of these'}; choose another with -o"
            )
        if target.resolve() == image:
            raise OptionError(f"{target}: expected another name than that of the image, which would be lost")
        if _EXPORTS[target.suffix.lower()] is _export_raster:
            require_extra("rasterio", "geo")
    if len({target.resolve() for target in targets}) < len(targets):
        raise OptionError("expected a name of its own for each export, got one twice; choose another with -o")


def export_scan(store: ScoreStore, target: Path, settings: ExportSettings) -> str:
    """Writes one export, which `check_targets` has passed, and says in a few words what it is.

    Raises:
        FullyconvError: the scan, or for a picture the image, cannot be read; or the export not written.
    """
    return _EXPORTS[target.suffix.lower()](store, target, settings)


def count_boxes(count: int) -> str:
    """Returns how people say it.

    >>> count_boxes(1), count_boxes(0)
    ('1 box', '0 boxes')
    """
    return _count(count, "box", "boxes")


def _count(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"


def _export_raster(store: ScoreStore, target: Path, settings: ExportSettings) -> str:
    description = store.description
    names = description.outputs
    chosen = range(len(names)) if settings.classes is None else _choose(store, settings)
    facts = RasterFacts(
        placement=description.placement,
        bands=tuple(names[index] for index in chosen),
        georeference=description.image.georeference,
        tags={
            "image": description.image.name,
            "model": description.model,
            "guarantee": description.guarantee,
            "fullyconv": fullyconv.__version__,
        },
    )
    scores = open_levels(store, chosen)[0]
    write_geotiff(target, scores, facts)
    where = "in pixels of the image, which has no georeference" if facts.georeference is None else "on the map"
    return f"{scores.shape[2]}x{scores.shape[1]} scores in {_count(scores.shape[0], 'band', 'bands')}, {where}"


def _export_objects(store: ScoreStore, target: Path, settings: ExportSettings) -> str:
    found = _read_chosen(store, settings)
    write_qupath(target, found, store.description.outputs, settings.objects)
    return f"{count_boxes(len(found))} for QuPath"


def _export_table(store: ScoreStore, target: Path, settings: ExportSettings) -> str:
    found = _read_chosen(store, settings)
    write_table(target, found, store.description.image.microns_per_pixel)
    return count_boxes(len(found))


def _export_picture(store: ScoreStore, target: Path, settings: ExportSettings) -> str:
    found, missing = _read_if_known(store, settings)
    description = store.description
    outputs = _choose(store, settings)
    shown = ShownScores(
        levels=open_levels(store, outputs),
        placement=description.placement,
        outputs=tuple(range(len(outputs))),
        is_raw=description.card.activation == "none",
    )
    size = choose_size(description.image.full_size, settings.longest_px)
    source = _open_image(store, settings)
    try:
        picture = draw_scan(source, shown, found, size=size, classes=description.outputs, bands=settings.bands)
    finally:
        source.close()
    write_picture(target, picture)
    return f"a picture of {format_size(size)} with {count_boxes(len(found))}{missing}"


_Export = Callable[[ScoreStore, Path, ExportSettings], str]
_EXPORTS: dict[str, _Export] = {
    ".tif": _export_raster,
    ".tiff": _export_raster,
    ".geojson": _export_objects,
    ".json": _export_objects,
    ".csv": _export_table,
    ".png": _export_picture,
}


def _choose(store: ScoreStore, settings: ExportSettings) -> tuple[int, ...]:
    return choose_classes(store.description.outputs, store.description.card, settings.classes)


def _read_chosen(store: ScoreStore, settings: ExportSettings) -> tuple[Detection, ...]:
    names = {store.description.outputs[index] for index in _choose(store, settings)}
    return tuple(each for each in read_detections(store.path) if each.class_name in names)


def _read_if_known(store: ScoreStore, settings: ExportSettings) -> tuple[tuple[Detection, ...], str]:
    """Returns the boxes, or none and why: a picture of the heat alone is worth having too."""
    try:
        return _read_chosen(store, settings), ""
    except FullyconvError as error:
        return (), f" ({error})"


def _find_image(store: ScoreStore, settings: ExportSettings) -> Path:
    return settings.image or Path(store.description.image.name)


def _open_image(store: ScoreStore, settings: ExportSettings) -> Source:
    path, expected = _find_image(store, settings), store.description.image.full_size
    if not path.exists():
        raise ImageError(f"{path}: the image that was scanned is not there; say with --image where it is now")
    source = describe_source(path, bands=settings.bands).open()
    size = source.levels[0].size
    if size != expected:
        source.close()
        raise ImageError(
            f"{path}: expected the image that was scanned, {format_size(expected)}, got one of {format_size(size)}; "
            "say with --image where it is now"
        )
    return source
