"""Images as `(H, W, C)` arrays of 8-bit values: found, read, resized, and made into a network's input."""

from fullyconv.images.listing import find_images
from fullyconv.images.pixels import Image8
from fullyconv.images.prepare import match_channels, prepare, resize
from fullyconv.images.read import read_image

__all__ = ["Image8", "find_images", "match_channels", "prepare", "read_image", "resize"]
