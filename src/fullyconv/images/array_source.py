"""Arrays as images: of numpy, zarr or dask, or of anything that has a shape, a dtype, and slices like them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from fullyconv.errors import ImageError
from fullyconv.grid import Pair
from fullyconv.images.region_source import RegionSource
from fullyconv.images.source import Pixels
from fullyconv.images.stored import Bands, Stored, choose_bands, guess_usual, measure_levels

# Samples of an array that may be larger than memory: a lattice of 8 x 8 blocks, the first and the last at its
# corners. Reading 64 blocks takes no more than a second, where each costs a chunk of a few megabytes.
_BLOCKS, _BLOCK_PX = 8, 16


@runtime_checkable
class ArrayLike(Protocol):
    """What an array must have to be an image."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def dtype(self) -> Any: ...  # noqa: D102
    def __getitem__(self, item: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False)
class ArraySpec:
    """An array as an image: `(H, W)` grey, `(H, W, C)` otherwise; values of 8 or 16 bits, or true and false.

    It pickles as the array itself does: one of numpy with its values, one of zarr or dask as the way to them.

    Attributes:
        array: the array; C is 1 for grey, 3 for red, green, blue, 4 with transparency last; else bands must be chosen.
        bands: which to read, counted from 1; None for all of a picture's.
    """

    array: ArrayLike
    bands: Bands | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{type(self.array).__name__} {tuple(self.array.shape)}"

    def open(self) -> RegionSource:
        """Returns the array as a source.

        Raises:
            ImageError: the array is no image, or has not the bands.
        """
        shape = tuple(map(int, self.array.shape))
        if len(shape) not in (2, 3) or 0 in shape:
            raise ImageError(f"expected an array (height, width) or (height, width, channels), got {shape}")
        bands = shape[2] if len(shape) == 3 else 1
        dtype = np.dtype(self.array.dtype)
        values = np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")
        stored = Stored(measure_levels([(shape[0], shape[1])]), values, bands, guess_usual(bands))
        chosen = choose_bands(self.name, stored, self.bands)
        return RegionSource(self.name, stored, chosen, ArrayFetcher(self.array, chosen))

    def identify(self) -> str:
        """Returns a text that is another one for other values: of all of an array of numpy, of samples of others."""
        digest = hashlib.blake2b(f"{tuple(self.array.shape)} {self.array.dtype}".encode(), digest_size=16)
        for piece in _sample(self.array):
            digest.update(np.ascontiguousarray(piece).tobytes())
        return digest.hexdigest()


class ArrayFetcher:
    """Cuts regions from an array."""

    def __init__(self, array: ArrayLike, bands: Bands) -> None:
        self._array, self._bands = array, bands

    def fetch(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the region; an array has one level."""
        (y, x), (height, width) = origin_yx, size
        pixels = np.asarray(self._array[y : y + height, x : x + width])
        return arrange(pixels, self._bands)

    def close(self) -> None:
        """Does nothing: the array is the caller's."""


def arrange(pixels: Pixels, bands: Bands) -> Pixels:
    """Returns a copy of `bands` of `(H, W)` or `(H, W, C)`, in this machine's byte order; true becomes 255."""
    planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
    chosen: Pixels = planes[:, :, list(bands)]
    if chosen.dtype.kind == "b":
        return chosen.astype(np.uint8) * np.uint8(255)
    return chosen.astype(chosen.dtype.newbyteorder("="))


def _sample(array: ArrayLike) -> list[Pixels]:
    height = array.shape[0]
    if isinstance(array, np.ndarray):
        step = max(1, 2**24 // max(1, array.nbytes // max(1, height)))
        return [array[y : y + step] for y in range(0, height, step)]
    lattice = [_spread(length) for length in array.shape[:2]]
    return [np.asarray(array[y : y + _BLOCK_PX, x : x + _BLOCK_PX]) for y in lattice[0] for x in lattice[1]]


def _spread(length: int) -> list[int]:
    last = max(0, length - _BLOCK_PX)
    return sorted({round(last * step / (_BLOCKS - 1)) for step in range(_BLOCKS)})
