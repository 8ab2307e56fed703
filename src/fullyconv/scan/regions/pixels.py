"""A region as an image: a mask of any size that shows the whole image, wanted where it is not black."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fullyconv.errors import OptionError
from fullyconv.grid import Pair, format_size
from fullyconv.images.read import read_size
from fullyconv.images.source import Pixels, Source
from fullyconv.scan.placement import Placement
from fullyconv.scan.regions.cell_mask import Wanted
from fullyconv.scan.tiles import Span

# A mask is held in memory, a byte a pixel: 256 MiB at most. At that size one of its pixels is 6 of a slide of 100,000.
LARGEST_MASK_PX = 2**28

# Of kinds that are read whole, and in colours: Pillow warns of pictures above 89 million pixels.
LARGEST_PICTURE_PX = 2**26

_STRIP_PX = 2**22


@dataclass(frozen=True, slots=True, eq=False)
class PixelMask:
    """A region given by pixels.

    Attributes:
        wanted: bool `(height, width)` of any size; it shows the whole image.
        placement: the cells.
    """

    wanted: Wanted
    placement: Placement

    def inside(self, rows: Span, columns: Span) -> Wanted:
        """Returns which cells of a block are wanted, bool `(rows, columns)`."""
        return self.wanted[np.ix_(self._find_pixels(0, rows), self._find_pixels(1, columns))]

    def selects_any(self, rows: Span, columns: Span) -> bool:
        """Returns whether any cell of a block is wanted."""
        pixels = np.unique(self._find_pixels(0, rows)), np.unique(self._find_pixels(1, columns))
        return bool(self.wanted[np.ix_(*pixels)].any())

    def _find_pixels(self, axis: int, span: Span) -> NDArray[np.intp]:
        share = self.placement.centres(axis, span) / self.placement.image_size_px[axis]
        length = self.wanted.shape[axis]
        return np.asarray(np.minimum((share * length).astype(np.intp), length - 1))


def read_mask(source: Source, name: str, image_size: Pair) -> Wanted:
    """Returns where a mask image is not black, bool `(height, width)`; what is wholly transparent counts as black.

    Of a mask with several levels the finest is taken that has at most `LARGEST_MASK_PX` pixels.

    Args:
        source: the mask.
        name: what people call it.
        image_size: `(height, width)` of the image that it is a mask of, at any level.

    Raises:
        OptionError: it has another aspect than the image, or too many pixels.
        ImageError: it cannot be read.
    """
    fitting = [index for index, level in enumerate(source.levels) if _count(level.size) <= LARGEST_MASK_PX]
    if not fitting:
        _check_size(source.levels[0].size, name, LARGEST_MASK_PX)
    size = source.levels[fitting[0]].size
    check_aspect(size, image_size, name)
    strips = [_find_marked(source.read(fitting[0], (y, 0), (rows, size[1]))) for y, rows in _cut(size)]
    return np.concatenate(strips)


def read_picture_mask(path: Path, image_size: Pair) -> Wanted:
    """Returns the same of an ordinary picture (PNG and the like), whose values are taken as they are stored.

    As an image it would be laid over white, and 16-bit labels be divided by 257: masks are neither.

    Args:
        path: the mask, which Pillow can read.
        image_size: `(height, width)` of the image that it is a mask of.

    Raises:
        OptionError: it has another aspect than the image, or too many pixels.
    """
    size = read_size(path)
    _check_size(size, str(path), LARGEST_PICTURE_PX)
    check_aspect(size, image_size, str(path))
    with Image.open(path) as picture:
        has_names = picture.mode in ("P", "PA") or picture.has_transparency_data
        upright = ImageOps.exif_transpose(picture.convert("RGBA") if has_names else picture)
        return _find_marked(np.atleast_3d(np.asarray(upright)))


def check_aspect(mask_size: Pair, image_size: Pair, name: str) -> None:
    """Checks that a mask is the image's size, scaled: to within one pixel of the mask.

    Raises:
        OptionError: it is not.
    """
    (height, width), (image_height, image_width) = mask_size, image_size
    off_by = min(abs(height - image_height * width / image_width), abs(width - image_width * height / image_height))
    if off_by > 1:
        raise OptionError(
            f"{name}: expected a mask with the aspect of the image, {format_size(image_size)}, got "
            f"{format_size(mask_size)}; make one that shows the whole image, at any size"
        )


def _check_size(size: Pair, name: str, largest_px: int) -> None:
    if _count(size) > largest_px:
        raise OptionError(
            f"{name}: expected a mask of at most {largest_px} pixels, got {format_size(size)}; "
            "save it smaller, it is scaled to the image"
        )


def _find_marked(pixels: Pixels) -> Wanted:
    if pixels.shape[2] in (2, 4):  # transparency comes last
        return np.asarray(pixels[:, :, :-1].any(axis=2) & (pixels[:, :, -1] != 0))
    return np.asarray(pixels.any(axis=2))


def _cut(size: Pair) -> Iterator[tuple[int, int]]:
    """Yields strips `(first row, rows)` of about `_STRIP_PX` pixels."""
    step = max(1, _STRIP_PX // size[1])
    for y in range(0, size[0], step):
        yield y, min(step, size[0] - y)


def _count(size: Pair) -> int:
    return size[0] * size[1]
