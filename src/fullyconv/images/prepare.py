"""From pixels of 0 to 255 to a network's input, as its card says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullyconv.card import ModelCard
from fullyconv.errors import ImageError
from fullyconv.grid import Pair
from fullyconv.images.pixels import Image8

# ITU-R BT.601 luma, 0.299 R + 0.587 G + 0.114 B, in 1/65536, rounded: the values that grey image files hold
# when a picture is saved as grey. So a grey crop and the same place in a colour image are the same input.
_LUMA = np.array([19595, 38470, 7471], dtype=np.uint32)


def prepare(image: Image8, card: ModelCard) -> NDArray[np.float32]:
    """Returns the network's input, float32 `(C, H, W)`: `(value * scale - mean) / std`, channel by channel.

    Args:
        image: uint8 `(H, W, C)`, grey or red, green, blue; or with just the channels that the network has.
        card: the network's channels, their order, and its preprocessing.

    Raises:
        ImageError: the image's channels cannot be made into the network's.
    """
    preprocessing = card.preprocessing
    planes = match_channels(image, card).transpose(2, 0, 1).astype(np.float32)
    planes *= np.float32(preprocessing.scale)
    planes -= np.array(preprocessing.mean, dtype=np.float32)[:, None, None]
    planes /= np.array(preprocessing.std, dtype=np.float32)[:, None, None]
    return np.ascontiguousarray(planes)


def match_channels(image: Image8, card: ModelCard) -> Image8:
    """Returns the image with the network's channels in the network's order, uint8 `(H, W, C)`.

    - A network with one channel takes a colour image by its luma (ITU-R BT.601).
    - A network with three takes a grey image by repeating it; one whose card says "grey", colour by luma.
    - A network with any other number of channels takes images with just that number, as they are.

    Raises:
        ImageError: none of these applies; or the array is not uint8 `(H, W, C)`.
    """
    _check_array(image)
    channels = image.shape[2]
    wants_grey = card.channels == 1 or card.preprocessing.colour == "grey"
    if card.channels in (1, 3) and channels in (1, 3):
        if wants_grey or channels == 1:
            return np.repeat(_to_grey(image), card.channels, axis=2)
        return image[:, :, ::-1] if card.preprocessing.colour == "bgr" else image
    if channels == card.channels:
        return image
    expected = "1 (grey) or 3 (colour)" if card.channels in (1, 3) else str(card.channels)
    raise ImageError(
        f"expected an image with {expected} channels for this network of {card.channels}, got {channels}; "
        "convert the image or choose another network"
    )


def resize(image: Image8, size: Pair) -> Image8:
    """Returns the image at `size` `(height, width)`, uint8 `(H, W, C)`.

    Bilinear, where shrinking averages over all pixels that fall into one (a triangle as wide as the scale
    asks for), so that fine texture does not alias into false shapes.

    Raises:
        ImageError: the array is not uint8 `(H, W, C)`.
    """
    _check_array(image)
    if image.shape[:2] == tuple(size):
        return image
    return resize_part(image, size, (0, 0, image.shape[1], image.shape[0]))


def resize_part(image: Image8, size: Pair, box_xyxy: tuple[float, float, float, float]) -> Image8:
    """Returns a part of the image at `size` `(height, width)`, uint8 `(H, W, C)`, as `resize` makes it.

    Args:
        image: uint8 `(H, W, C)`; pixels beside the part count where the triangle reaches over its border.
        size: that the part shall have.
        box_xyxy: the part, in pixels of the image and fractions of them.

    Raises:
        ImageError: the array is not uint8 `(H, W, C)`.
    """
    _check_array(image)
    if image.shape[2] == 3:
        return _resize_plane(image, size, box_xyxy)
    planes = [_resize_plane(image[:, :, channel], size, box_xyxy) for channel in range(image.shape[2])]
    return np.stack(planes, axis=2)


def _check_array(image: Image8) -> None:
    if image.ndim != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ImageError(
            f"expected an image as uint8 (height, width, channels), got {image.dtype} {image.shape}; "
            "read it with fullyconv.images.read_image"
        )


def _to_grey(image: Image8) -> Image8:
    if image.shape[2] == 1:
        return image
    luma = (image.astype(np.uint32) @ _LUMA + 32768) >> 16
    return luma.astype(np.uint8)[:, :, None]


def _resize_plane(plane: Image8, size: Pair, box_xyxy: tuple[float, float, float, float]) -> Image8:
    """Returns a part at another size: rows first, then columns, for Pillow would choose by the size of the part."""
    (height, width), (x0, y0, x1, y1) = size, box_xyxy
    picture = Image.fromarray(np.ascontiguousarray(plane))
    narrow = picture.resize((width, picture.height), Image.Resampling.BILINEAR, box=(x0, 0, x1, picture.height))
    return np.asarray(narrow.resize((width, height), Image.Resampling.BILINEAR, box=(0, y0, width, y1)))
