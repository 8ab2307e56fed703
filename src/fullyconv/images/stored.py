"""What a file stores, and which of its bands a source gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from fullyconv.errors import ImageError
from fullyconv.images.source import Georeference, ImageLevel, PerPixel

Bands: TypeAlias = tuple[int, ...]


class NotByRegionError(ImageError):
    """The image is whole, but no part of it can be read without decoding far more than is asked for."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file stores.

    Attributes:
        levels: its resolutions, the full one first.
        dtype: of its values.
        bands: how many there are.
        usual: those that make a picture, counted from 0: grey, or red, green, blue, with transparency last where
            the file says that there is one. None where the file does not say which bands make a picture.
        microns_per_pixel: of level 0, `(y, x)`.
        georeference: where it lies on Earth.
    """

    levels: tuple[ImageLevel, ...]
    dtype: np.dtype[Any]
    bands: int
    usual: Bands | None
    microns_per_pixel: PerPixel | None = None
    georeference: Georeference | None = None


def choose_bands(name: str, stored: Stored, bands: Bands | None) -> Bands:
    """Returns the bands to read, counted from 0: those asked for, counted from 1; or else those of a picture.

    Raises:
        ImageError: the file has no such band; or it does not say which make a picture, and none were asked for.
    """
    if bands is not None:
        if not bands or min(bands) < 1 or max(bands) > stored.bands:
            raise ImageError(f"{name}: expected bands from 1 to {stored.bands}, got {_list(bands)}; choose among these")
        return tuple(band - 1 for band in bands)
    if stored.usual is None:
        raise ImageError(
            f"{name}: expected grey or colour, got {stored.bands} bands, and the file does not say which to show; "
            "choose them, counted from 1, as in bands=(3, 2, 1)"
        )
    return stored.usual


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    """Checks that values are such as sources give: uint8 or uint16.

    Raises:
        ImageError: they are not.
    """
    if dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise ImageError(f"{name}: expected 8-bit or 16-bit values, got {dtype}; convert it to uint8 or uint16")


def guess_usual(bands: int) -> Bands | None:
    """Returns the bands of a picture where nothing but their number is known: 1 grey, 3 colour, 4 with transparency."""
    return tuple(range(bands)) if bands in (1, 3, 4) else None


def measure_levels(sizes: list[tuple[int, int]]) -> tuple[ImageLevel, ...]:
    """Returns levels of `(height, width)`, the full one first, with what each is smaller."""
    height, width = sizes[0]
    return tuple(ImageLevel(size, (height / size[0], width / size[1])) for size in sizes)


def _list(bands: Bands) -> str:
    return ", ".join(map(str, bands)) or "none"
