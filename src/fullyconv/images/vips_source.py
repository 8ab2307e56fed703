"""Pictures too large to be held, of kinds that are not made for regions: PNG, JPEG, strips; by libvips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fullyconv.errors import FullyconvError, ImageError, require_extra
from fullyconv.grid import Pair
from fullyconv.images.file_spec import FileSpec
from fullyconv.images.identity import check_file
from fullyconv.images.region_source import RegionSource, explain
from fullyconv.images.source import Pixels
from fullyconv.images.stored import Bands, Stored, choose_bands, guess_usual, measure_levels

_DTYPES: dict[str, np.dtype[Any]] = {"uchar": np.dtype(np.uint8), "ushort": np.dtype(np.uint16)}
_COLOURS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb": 3, "rgb16": 3}


@dataclass(frozen=True, slots=True)
class VipsSpec(FileSpec):
    """A picture read by libvips, whose orientation (EXIF) is applied.

    A kind that can only be read from top to bottom is decoded once, when it is opened: into memory up to 100 MB,
    else into a file that is deleted by itself in the folder for temporary files (`TMPDIR`), as large as the picture
    decoded. The variable `VIPS_DISC_THRESHOLD` sets another limit.
    """

    def open(self) -> RegionSource:
        """Opens the file, and decodes it where it must be decoded whole.

        Raises:
            ImageError: the file is missing, damaged, or of a kind that is not known.
            MissingExtraError: pyvips is not installed.
        """
        vips = require_extra("pyvips", "vips")
        check_file(self.path)
        try:
            # Without revalidate libvips would give what it remembers of a file of the same name.
            image = vips.Image.new_from_file(self.name, access="random", fail_on="error", revalidate=True).autorot()
            return _describe(self.name, vips, image, self.bands)
        except FullyconvError:
            raise
        except Exception as error:  # whatever damaged bytes bring about
            raise ImageError(f"{self.path}: the image cannot be read: {explain(error)}") from None


class VipsFetcher:
    """Fetches regions from an image of libvips."""

    def __init__(self, region: Any, dtype: np.dtype[Any], stored_bands: int, bands: Bands) -> None:
        self._region, self._dtype, self._stored_bands, self._bands = region, dtype, stored_bands, bands

    def fetch(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the chosen bands of a region; there is one level."""
        data = self._region.fetch(origin_yx[1], origin_yx[0], size[1], size[0])
        pixels = np.frombuffer(data, self._dtype).reshape(*size, self._stored_bands)
        return pixels[:, :, list(self._bands)].copy()

    def close(self) -> None:
        """Lets go of the image, and so of its temporary file."""
        self._region = None


def _describe(name: str, vips: Any, image: Any, bands: Bands | None) -> RegionSource:
    if image.format not in _DTYPES:
        raise ImageError(f"{name}: expected 8-bit or 16-bit values, got {image.format}; convert it to one of these")
    dtype = _DTYPES[image.format]
    stored = Stored(measure_levels([(image.height, image.width)]), dtype, image.bands, _find_usual(name, image))
    chosen = choose_bands(name, stored, bands)
    region = vips.Region.new(image)
    region.fetch(0, image.height - 1, 1, 1)  # the last row: what is read from the top is now decoded, or has failed
    return RegionSource(name, stored, chosen, VipsFetcher(region, dtype, image.bands, chosen))


def _find_usual(name: str, image: Any) -> Bands | None:
    count = _COLOURS.get(image.interpretation)
    if count is None and image.interpretation != "multiband":
        raise ImageError(f"{name}: expected grey or RGB, got {image.interpretation}; convert it to RGB")
    if count is None or count > image.bands:
        return guess_usual(image.bands)
    return (*range(count), image.bands - 1) if image.hasalpha() else tuple(range(count))
