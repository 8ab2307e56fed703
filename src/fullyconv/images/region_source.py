"""A source made of what a file stores and of something that fetches its pixels."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from fullyconv.errors import FullyconvError, ImageError, RegionError
from fullyconv.grid import Pair, format_size
from fullyconv.images.source import Georeference, ImageLevel, PerPixel, Pixels, check_region
from fullyconv.images.stored import Bands, Stored, check_dtype


class Fetcher(Protocol):
    """Fetches pixels from an open file."""

    def fetch(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the chosen bands of a region that lies inside, `(height, width, C)`; raises anything if damaged."""
        ...

    def close(self) -> None:
        """Lets go of the file."""
        ...


class RegionSource:
    """An open image: it checks what is asked, and whatever a decoder raises becomes one clear line.

    One thread at a time may use it, and no process but the one that opened it: pass its spec, and open that there.

    Attributes:
        levels: its resolutions, the full one first.
        dtype: of its values.
        channels: how many `read` gives.
        microns_per_pixel: of level 0, `(y, x)`.
        georeference: where it lies on Earth.
    """

    def __init__(self, name: str, stored: Stored, bands: Bands, fetcher: Fetcher) -> None:
        check_dtype(name, stored.dtype)
        self._name, self._fetcher = name, fetcher
        self.levels: tuple[ImageLevel, ...] = stored.levels
        self.dtype: np.dtype[Any] = stored.dtype
        self.channels: int = len(bands)
        self.microns_per_pixel: PerPixel | None = stored.microns_per_pixel
        self.georeference: Georeference | None = stored.georeference
        self._is_open = True

    def read(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the pixels of a region, `(height, width, C)`; see `Source`.

        Raises:
            RegionError: the region's part of the file is damaged or missing.
            ImageError: there is no such level, the region is not inside it, or the source is closed.
        """
        self._check(level, origin_yx, size)
        try:
            return self._fetcher.fetch(level, origin_yx, size)
        except FullyconvError:
            raise
        except Exception as error:  # decoders raise anything on damaged bytes
            raise RegionError(f"{self._describe(level, origin_yx, size)} cannot be read: {explain(error)}") from error

    def close(self) -> None:
        """Lets go of the file; a second time does nothing."""
        if self._is_open:
            self._is_open = False
            self._fetcher.close()

    def _check(self, level: int, origin_yx: Pair, size: Pair) -> None:
        if not self._is_open:
            raise ImageError(f"{self._name}: expected an open image, got a closed one; open its spec again")
        if not 0 <= level < len(self.levels):
            raise ImageError(f"{self._name}: expected a level from 0 to {len(self.levels) - 1}, got {level}")
        check_region(self.levels[level], origin_yx, size)

    def _describe(self, level: int, origin_yx: Pair, size: Pair) -> str:
        y, x = origin_yx
        return f"{self._name}: the region {format_size(size)} from x={x}, y={y} of level {level}"


def explain(error: BaseException) -> str:
    """Returns what an error of a decoder says, on one line; its kind where it says nothing."""
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__
