"""Which of a TIFF file's pages make its image, level by level."""

from __future__ import annotations

from dataclasses import dataclass

from tifffile import PHOTOMETRIC, TiffFile, TiffFrame, TiffPage, TiffPageSeries

from fullyconv.errors import ImageError
from fullyconv.grid import Pair

# Unrelated pages, of which an image is the first: what tifffile calls the axis that counts them.
_PAGES = frozenset("IQ")
# Kinds of files whose levels tifffile knows by their sizes alone.
_GUESSED = frozenset({"generic", "shaped", "uniform"})


@dataclass(frozen=True, slots=True)
class TiffLevel:
    """One resolution: the pages that hold its bands.

    Attributes:
        pages: one page with all bands, or one page for each.
        keyframe: the page that says how all of them are stored.
    """

    pages: tuple[TiffPage | TiffFrame, ...]
    keyframe: TiffPage

    @property
    def size(self) -> Pair:
        """Returns `(height, width)`."""
        return int(self.keyframe.imagelength), int(self.keyframe.imagewidth)


def lay_out(name: str, file: TiffFile) -> tuple[TiffLevel, ...]:
    """Returns the levels of a file's image, the full one first: of the largest image where it holds several.

    Raises:
        ImageError: the file holds no image, a stack of several planes, or only some of an image's pages; or other
            files hold some of them.
    """
    images = [series for series in file.series if _is_image(series)]
    if not images:
        raise ImageError(f"{name}: expected an image, got a TIFF file without one")
    image = max(images, key=lambda series: int(series.keyframe.imagelength) * int(series.keyframe.imagewidth))
    levels = [_gather_pages(name, level) for level in (image, *_find_smaller(image))]
    if any(page.parent is not file for level in levels for page in level.pages):
        raise ImageError(f"{name}: expected one file, got an image that is spread over several; write it into one")
    alike = [level for level in levels if _is_like(level.keyframe, levels[0].keyframe)]
    return tuple(sorted(alike, key=lambda level: -level.size[0] * level.size[1]))


def _is_image(series: TiffPageSeries) -> bool:
    return {"Y", "X"} <= set(series.get_axes(squeeze=False)) and series.keyframe.photometric != PHOTOMETRIC.MASK


def _find_smaller(image: TiffPageSeries) -> list[TiffPageSeries]:
    """Returns the smaller levels; a page that only happens to be half as large as another is none."""
    is_told = image.kind not in _GUESSED
    return [level for level in image.levels[1:] if is_told or level.keyframe.is_reduced or level.keyframe.is_subifd]


def _gather_pages(name: str, level: TiffPageSeries) -> TiffLevel:
    axes = zip(level.get_axes(squeeze=False), level.get_shape(squeeze=False), strict=True)
    counted = {axis: int(size) for axis, size in axes if size > 1 and axis not in "YXS"}
    if level.keyframe.imagedepth > 1:
        counted["Z"] = int(level.keyframe.imagedepth)
    is_bands = set(counted) == {"C"} and level.keyframe.samplesperpixel == 1
    if not is_bands and not set(counted) <= _PAGES:
        planes = ", ".join(f"{size} along {axis}" for axis, size in counted.items())
        raise ImageError(f"{name}: expected one plane, got {planes}; save the plane that is meant as a file of its own")
    return TiffLevel(_find_pages(name, level, counted["C"] if is_bands else 1), level.keyframe)


def _find_pages(name: str, level: TiffPageSeries, count: int) -> tuple[TiffPage | TiffFrame, ...]:
    pages = [level.pages[index] for index in range(count)]
    found = tuple(page for page in pages if page is not None)
    if len(found) < count:
        raise ImageError(f"{name}: expected {count} bands, got {len(found)}; put the files with the others beside it")
    return found


def _is_like(page: TiffPage, first: TiffPage) -> bool:
    return bool(page.dtype == first.dtype and page.samplesperpixel == first.samplesperpixel)
