"""Which format an image is in, and so which spec opens it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fullyconv.errors import ImageError
from fullyconv.images.array_source import ArrayLike, ArraySpec
from fullyconv.images.geo_source import GeoSpec
from fullyconv.images.identity import check_file
from fullyconv.images.listing import GEO_SUFFIXES, WSI_SUFFIXES, is_zarr
from fullyconv.images.pillow_source import PillowSpec
from fullyconv.images.read import read_size
from fullyconv.images.source import SourceSpec
from fullyconv.images.stored import Bands, NotByRegionError
from fullyconv.images.tiff_segments import HELD_BYTES
from fullyconv.images.tiff_source import TiffSpec
from fullyconv.images.vips_source import VipsSpec
from fullyconv.images.wsi_source import WsiSpec
from fullyconv.images.zarr_source import ZarrSpec

# Byte order and version: TIFF and BigTIFF.
_TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# An RGB picture of so many pixels is as large as what a source may hold.
_HELD_PIXELS = HELD_BYTES // 3


def describe_source(image: Path | str | ArrayLike, *, bands: Bands | None = None) -> SourceSpec:
    """Returns the spec of an image, of whatever format, after a look at the file's head or directory.

    - Folders of zarr: `ZarrSpec`. Arrays: `ArraySpec`.
    - TIFF, whatever the suffix (SVS, NDPI, GeoTIFF, COG, OME-TIFF): `TiffSpec`; with a georeference if the extra
      `geo` is installed, and the same pixels without. Where its strips are too large: `VipsSpec` with the extra `vips`.
    - Slides of other kinds (`.mrxs` and the like): `WsiSpec`, with the extra `wsi`.
    - JPEG 2000 and others of maps: `GeoSpec` with the extra `geo`, else `PillowSpec`.
    - All else: `PillowSpec`, held whole; above 89 megapixels `VipsSpec` with the extra `vips`.

    Args:
        image: a file, a folder of zarr, or an array `(H, W)` or `(H, W, C)`.
        bands: which bands to read, counted from 1 as people do who work with maps: `(4, 3, 2)` is near infrared, red
            and green of many a satellite's file. None for grey, or red, green, blue.

    Raises:
        ImageError: there is no such image, it is damaged, or it is of a kind that is not known.
        MissingExtraError: reading it needs an optional dependency.
    """
    spec: SourceSpec
    if not isinstance(image, Path | str):
        spec = ArraySpec(image, bands)
    elif is_zarr(Path(image)):
        spec = ZarrSpec(Path(image), bands)
    else:
        return _describe_file(Path(image), bands)
    spec.open().close()
    return spec


def _describe_file(path: Path, bands: Bands | None) -> SourceSpec:
    check_file(path)
    suffix = path.suffix.lower()
    spec: SourceSpec
    if suffix in WSI_SUFFIXES:
        spec = WsiSpec(path, bands)
    elif _is_tiff(path):
        return _describe_tiff(path, bands)
    elif suffix in GEO_SUFFIXES and _has("rasterio"):
        spec = GeoSpec(path, bands)
    else:
        is_large = _count_pixels(path) > _HELD_PIXELS  # or not an image at all
        return VipsSpec(path, bands) if is_large and _has("pyvips") else PillowSpec(path, bands)
    spec.open().close()
    return spec


def _describe_tiff(path: Path, bands: Bands | None) -> SourceSpec:
    try:
        TiffSpec(path, bands).open().close()
    except NotByRegionError:
        if not _has("pyvips"):
            raise
        return VipsSpec(path, bands)
    return TiffSpec(path, bands)


def _is_tiff(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in _TIFF_MARKS
    except OSError as error:
        raise ImageError(f"{path}: the image cannot be read: {(error.strerror or str(error)).lower()}") from None


def _count_pixels(path: Path) -> int:
    height, width = read_size(path)
    return height * width


def _has(module: str) -> bool:
    return find_spec(module) is not None
