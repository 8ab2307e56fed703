"""Which format an image is in, and so which spec opens it."""

from __future__ import annotations

from pathlib import Path

from fullyconv.images.array_source import ArrayLike, ArraySpec
from fullyconv.images.identity import check_file
from fullyconv.images.source import SourceSpec
from fullyconv.images.stored import Bands
from fullyconv.images.tiff_source import TiffSpec


def describe_source(image: Path | str | ArrayLike, *, bands: Bands | None = None) -> SourceSpec:
    """Returns the spec of an image, of whatever format; nothing but the file's first bytes is read.

    Args:
        image: a file, a folder of zarr, or an array `(H, W)` or `(H, W, C)`.
        bands: which bands to read, counted from 1 as maps count them: `(4, 3, 2)` is near infrared, red, green of
            many a satellite's file. None for grey, or red, green, blue.

    Raises:
        ImageError: there is no such image, or it is of a kind that is not known.
    """
    if not isinstance(image, Path | str):
        return ArraySpec(image, bands)
    path = Path(image)
    check_file(path)
    return TiffSpec(path, bands)
