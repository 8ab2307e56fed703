"""Pictures as arrays: reading, grey or colour, and resizing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullyconv.errors import DataError, ImageError
from fullyconv.grid import Pair

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
GREY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "F"})


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Returns a picture as uint8 `(H, W, 1)` if it is grey, else `(H, W, 3)`.

    Raises:
        ImageError: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            image.load()
            array = np.asarray(image.convert("L" if image.mode in GREY_MODES else "RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: cannot be read as an image ({error}); replace or remove it") from error
    return array.reshape(*array.shape[:2], -1)


def resize_picture(picture: NDArray[np.uint8], size: Pair, channels: int) -> NDArray[np.uint8]:
    """Returns a picture `(H, W, 1 or 3)` at `size` (height, width) as uint8 `(height, width, channels)`.

    Shrinking is antialiased. Colour becomes grey by ITU-R 601 luma; grey becomes colour by repeating.
    """
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    image = image.convert("L" if channels == 1 else "RGB")
    if picture.shape[:2] != size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(*size, channels)


def find_pictures(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Returns the picture files among `paths`, and in the folders among them; sorted within each folder.

    Raises:
        DataError: a path does not exist, or there is no picture at all.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: expected a picture or a folder of pictures, found nothing there")
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in inside if not path.is_dir() or file.suffix.lower() in PICTURE_SUFFIXES]
    if not found:
        raise DataError(f"negatives: expected large pictures without the object, found none in {list(paths)}")
    return tuple(found)
