"""Reads an image file into an array of 8-bit values, or says in one line why that cannot be done."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fullyconv.errors import ImageError
from fullyconv.grid import format_size
from fullyconv.images.identity import check_file
from fullyconv.images.pixels import Image8, lay_over_white, narrow_values

# Pillow refuses at 179 megapixels, as a guard against decompression bombs. Whole aerial scenes and slide
# levels are larger. One gigapixel of RGB is 3 GiB: a workstation can still hold it, and bombs are far larger.
LARGEST_PIXELS = 2**30

_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)
_16_BIT_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
# EXIF: the tag, and its values that exchange height and width.
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)

_pillow_limit = threading.Lock()


def read_image(path: Path | str) -> Image8:
    """Returns the image as uint8 `(H, W, C)`: C is 1 for grey and 3 for red, green, blue.

    - The orientation that a camera noted (EXIF) is applied.
    - Transparent pixels are laid over white, as a page would show them.
    - Palettes, CMYK and the like become RGB; black and white becomes grey.
    - 16-bit values are divided by 257, which takes 0 to 65535 onto 0 to 255, the same for every image: never
      stretched by what one image happens to contain, which would give equal objects different scores.
    - Of a file with several pages or frames, the first.

    Raises:
        ImageError: the file is missing, empty, not an image, truncated, holds values of more than 16 bits,
            or has more than one gigapixel.
    """
    path = Path(path)
    check_file(path)
    try:
        with warnings.catch_warnings(action="ignore"), _open(path) as image:
            _check_size(path, image)
            image.load()
            return _convert(path, _turn_upright(image))
    except _DECODER_ERRORS as error:
        raise ImageError(f"{path}: the image cannot be read: {_explain(error)}") from None
    except MemoryError:
        raise ImageError(f"{path}: the image does not fit into memory; cut it into parts") from None


def read_size(path: Path | str) -> tuple[int, int]:
    """Returns the `(height, width)` that the image will have when it is read; its pixels are not.

    Raises:
        ImageError: the file is missing, empty or not an image.
    """
    path = Path(path)
    check_file(path)
    try:
        with warnings.catch_warnings(action="ignore"), _open(path) as image:
            is_turned = image.getexif().get(_ORIENTATION, 1) in _SIDEWAYS
            return (image.width, image.height) if is_turned else (image.height, image.width)
    except _DECODER_ERRORS as error:
        raise ImageError(f"{path}: the image cannot be read: {_explain(error)}") from None


@contextmanager
def _open(path: Path) -> Iterator[Image.Image]:
    # Pillow's limit is one global, looked at when a file is opened. It is put back at once; ours comes next.
    with _pillow_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    with image:
        yield image


def _check_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > LARGEST_PIXELS:
        size = format_size((image.height, image.width))
        raise ImageError(f"{path}: expected at most {LARGEST_PIXELS} pixels, got {size}; cut it into parts")


def _turn_upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _DECODER_ERRORS:
        return image  # the notes are damaged, not the pixels


def _convert(path: Path, image: Image.Image) -> Image8:
    if image.mode in _16_BIT_MODES:
        return _narrow(path, np.asarray(image))[:, :, None]
    if image.mode == "F":
        raise ImageError(f"{path}: expected 8-bit or 16-bit values, got floating point; convert it to one of these")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = lay_over_white(image)
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    pixels = np.array(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _narrow(path: Path, values: NDArray[np.generic]) -> Image8:
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise ImageError(
            f"{path}: expected 8-bit or 16-bit values, got {wide.min()} to {wide.max()}; convert it to one of these"
        )
    return narrow_values(wide)


def _explain(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image, or of a kind that is not known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__
