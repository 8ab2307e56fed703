"""The values of any source as 8-bit ones, grey or colour: the one home of how they are converted."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullyconv.errors import ImageError
from fullyconv.images.source import Pixels
from fullyconv.images.stored import Bands

Image8: TypeAlias = NDArray[np.uint8]

# How many channels there are where the last is transparency, and what Pillow calls such pixels.
_TRANSPARENT = {2: "LA", 4: "RGBA"}


def to_image8(pixels: Pixels, *, bands: Bands | None = None) -> Image8:
    """Returns a source's pixels as `fullyconv.images.prepare` takes them, uint8 `(H, W, C)`, as `read_image` does.

    - 16-bit values are divided by 257 and rounded, which takes 0 to 65535 onto 0 to 255, the same for every image.
    - Grey or colour with transparency last (2 or 4 channels) is laid over white, so 1 or 3 channels are left.

    Args:
        pixels: uint8 or uint16 `(H, W, C)`, as `Source.read` gives them.
        bands: those that were chosen when the image was opened, if any were: then no channel is transparency.

    Raises:
        ImageError: the array is not of that kind.
    """
    if pixels.ndim != 3 or pixels.dtype not in (np.dtype(np.uint8), np.dtype(np.uint16)):
        raise ImageError(
            f"expected pixels as uint8 or uint16 (height, width, channels), got {pixels.dtype} {pixels.shape}; "
            "read them from a source"
        )
    narrow = narrow_values(pixels) if pixels.dtype == np.uint16 else pixels.astype(np.uint8, copy=False)
    mode = None if bands is not None else _TRANSPARENT.get(pixels.shape[2])
    if mode is None:
        return narrow
    flat = np.asarray(lay_over_white(_make_picture(narrow, mode)))
    return flat[:, :, None] if flat.ndim == 2 else flat


def narrow_values(values: Pixels) -> Image8:
    """Returns values of 0 to 65535 as 0 to 255: divided by 257 and rounded.

    >>> narrow_values(np.array([0, 128, 129, 65535]))
    array([  0,   0,   1, 255], dtype=uint8)
    """
    wide = values.astype(np.uint32)
    return ((wide + 128) // 257).astype(np.uint8)


def lay_over_white(picture: Image.Image) -> Image.Image:
    """Returns the picture as a white page would show it: mode "L" if it is grey, else "RGB"."""
    is_grey = picture.mode in ("1", "L", "LA", "La")
    rgba = picture.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return flat.convert("L" if is_grey else "RGB")


def _make_picture(values: Image8, mode: str) -> Image.Image:
    height, width = values.shape[:2]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(values).tobytes())
