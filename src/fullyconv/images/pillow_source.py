"""Ordinary pictures as images: PNG, JPEG and whatever else Pillow reads, held whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fullyconv.errors import ImageError
from fullyconv.grid import format_size
from fullyconv.images.array_source import ArrayFetcher
from fullyconv.images.file_spec import FileSpec
from fullyconv.images.read import LARGEST_PIXELS, read_image, read_size
from fullyconv.images.region_source import RegionSource
from fullyconv.images.stored import Stored, choose_bands, guess_usual, measure_levels


@dataclass(frozen=True, slots=True)
class PillowSpec(FileSpec):
    """A picture that is read whole when it is opened, just as `read_image` reads it: grey or RGB of 8 bits."""

    def open(self) -> RegionSource:
        """Reads the picture.

        Raises:
            ImageError: the file is missing, damaged, of a kind that is not known, or too large to be held.
        """
        size = read_size(self.path)
        if size[0] * size[1] > LARGEST_PIXELS:
            raise ImageError(
                f"{self.path}: expected at most {LARGEST_PIXELS} pixels in a picture of this kind, got "
                f"{format_size(size)}; install what reads it by region: pip install 'fullyconv[vips]'"
            )
        pixels = read_image(self.path)
        channels = pixels.shape[2]
        stored = Stored(measure_levels([size]), np.dtype(np.uint8), channels, guess_usual(channels))
        chosen = choose_bands(self.name, stored, self.bands)
        return RegionSource(self.name, stored, chosen, ArrayFetcher(pixels, chosen))
