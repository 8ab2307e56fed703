"""From the samples that a TIFF file stores to grey, or red, green, blue, with transparency last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import PHOTOMETRIC, TiffPage

from fullyconv.errors import ImageError
from fullyconv.images.source import Pixels
from fullyconv.images.stored import Bands, guess_usual

Convert: TypeAlias = Callable[[Pixels], Pixels]

# ExtraSamples: transparency by which the colours are multiplied, and by which they are not.
_PREMULTIPLIED, _TRANSPARENCY = 1, 2
# Compressions that hold their own colour space, which decoding changes to red, green, blue.
_JPEGS = (6, 7, 34892, 33007)
# JPEG 2000 of Aperio's that holds YCbCr, whatever the tag of the colours says.
_APERIO_YCBCR = 33003


@dataclass(frozen=True, slots=True)
class Colour:
    """What becomes of a pixel's samples.

    Attributes:
        convert: takes samples `(H, W, S)` to bands `(H, W, C)`; None where every sample is a band as it is.
        dtype: of the bands.
        bands: how many come out.
        usual: which make a picture, counted from 0; None where the file does not say.
    """

    convert: Convert | None
    dtype: np.dtype[Any]
    bands: int
    usual: Bands | None


def plan_colour(name: str, page: TiffPage, pages: int) -> Colour:
    """Returns what becomes of the samples of an image with its bands in one page, or in `pages` of one each.

    Raises:
        ImageError: the values are not of 8 or 16 bits, or less; or the colours are of a kind that is not known.
    """
    dtype = _find_dtype(name, page)
    mixed = _find_mixing(name, page)
    if mixed is not None:
        return Colour(mixed, np.dtype(np.uint8), 3, (0, 1, 2))
    samples = page.samplesperpixel * pages
    return Colour(_find_adjustment(page), dtype, samples, _find_usual(page, samples, pages))


def _find_dtype(name: str, page: TiffPage) -> np.dtype[Any]:
    bits = page.bitspersample
    is_unsigned = page.sampleformat == 1 and page.dtype is not None
    if bits == 16 and is_unsigned:
        return np.dtype(np.uint16)
    if bits in (1, 2, 4, 8) and is_unsigned:
        return np.dtype(np.uint8)
    kind = "unsigned" if page.sampleformat == 1 else f"{page.dtype or 'other'}"
    raise ImageError(f"{name}: expected 8-bit or 16-bit values, got {bits}-bit ({kind}); convert it to uint8 or uint16")


def _find_mixing(name: str, page: TiffPage) -> Convert | None:
    """Returns how colours are made that no sample is by itself; None where each is."""
    photometric = PHOTOMETRIC.YCBCR if page.compression == _APERIO_YCBCR else page.photometric
    if photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        # A palette holds 16 bits of which the upper 8 are the colour, as in every other reader.
        table = (np.asarray(page.colormap) >> 8).astype(np.uint8).T
        return lambda samples: table[samples[:, :, 0].astype(np.intp)]
    if photometric in (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB):
        return None
    if photometric == PHOTOMETRIC.YCBCR and page.compression in _JPEGS and page.planarconfig == 1:
        return None
    modes: dict[int, tuple[str, int]] = {PHOTOMETRIC.SEPARATED: ("CMYK", 4), PHOTOMETRIC.YCBCR: ("YCbCr", 3)}
    mode, count = modes.get(photometric, ("", 0))
    if page.bitspersample == 8 and count and page.samplesperpixel >= count:
        return lambda samples: _convert_mode(samples[:, :, :count], mode)
    kind = getattr(photometric, "name", photometric)
    raise ImageError(f"{name}: expected grey, RGB or a palette, got {page.bitspersample}-bit {kind}; convert it to RGB")


def _convert_mode(samples: Pixels, mode: str) -> Pixels:
    height, width = samples.shape[:2]
    picture = Image.frombytes(mode, (width, height), np.ascontiguousarray(samples).tobytes())
    return np.asarray(picture.convert("RGB"))


def _find_adjustment(page: TiffPage) -> Convert | None:
    bits = int(page.bitspersample)
    largest = 2**bits - 1
    factor = 255 // largest if bits < 8 else 1
    is_inverted = page.photometric == PHOTOMETRIC.MINISWHITE
    transparency = _find_transparency(page)
    is_premultiplied = transparency is not None and _PREMULTIPLIED in page.extrasamples
    if factor == 1 and not is_inverted and not is_premultiplied:
        return None

    def adjust(samples: Pixels) -> Pixels:
        values: NDArray[Any] = samples.astype(np.uint16 if bits == 16 else np.uint8)
        if is_inverted:
            values[:, :, 0] = largest - values[:, :, 0]
        if is_premultiplied and transparency is not None:
            return _divide(values, transparency, largest)
        return values * np.uint8(factor)

    return adjust


def _divide(values: Pixels, transparency: int, largest: int) -> Pixels:
    """Returns the colours as they were before they were multiplied by their transparency."""
    share = values[:, :, transparency].astype(np.uint32)[:, :, None]
    colours = values[:, :, :transparency].astype(np.uint32)
    whole = np.minimum((colours * largest + share // 2) // np.maximum(share, 1), largest)
    result = values.copy()
    result[:, :, :transparency] = whole
    return result


def _find_transparency(page: TiffPage) -> int | None:
    for place, kind in enumerate(page.extrasamples):
        if kind in (_PREMULTIPLIED, _TRANSPARENCY):
            return int(page.samplesperpixel - len(page.extrasamples) + place)
    return None


def _find_usual(page: TiffPage, samples: int, pages: int) -> Bands | None:
    if pages > 1:
        return guess_usual(samples)
    is_colour = page.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
    count = 3 if is_colour else 1
    transparency = _find_transparency(page)
    if transparency is not None:
        return (*range(count), transparency)
    return tuple(range(count)) if is_colour or samples == 1 else guess_usual(samples)
