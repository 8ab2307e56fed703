"""Which image files a person means who names files and folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fullyconv.errors import ImageError

# Kinds of slides that are no TIFF, or whose tiles overlap or lie apart, which only OpenSlide puts together.
WSI_SUFFIXES = frozenset({".bif", ".mrxs", ".scn", ".svslide", ".vms", ".vmu"})
# Kinds that GDAL reads by region, with their georeference.
GEO_SUFFIXES = frozenset({".j2k", ".jp2", ".nitf", ".ntf"})
_TIFF_SUFFIXES = frozenset({".btf", ".ndpi", ".svs", ".tf8", ".tif", ".tiff"})
_PICTURE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp"})
SUFFIXES = WSI_SUFFIXES | GEO_SUFFIXES | _TIFF_SUFFIXES | _PICTURE_SUFFIXES

# What marks a folder as a group or an array of zarr: of version 3, and of version 2.
_ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray")


def find_images(paths: Iterable[Path | str]) -> tuple[Path, ...]:
    """Returns the images that `paths` name, each once, in the order given; a folder's in natural order.

    A folder gives the files in it and below it that have an image's suffix; hidden ones are left out. A folder of
    zarr is one image.
    Any other path is returned as it is, whatever its suffix: reading it tells whether it is an image, so
    that one mistyped name does not keep the others of a batch from being done.

    Raises:
        ImageError: there is not one image.
    """
    given = [Path(path) for path in paths]
    found: dict[Path, Path] = {}
    for image in (image for path in given for image in _expand(path)):
        found.setdefault(image.resolve(), image)
    if not found:
        where = ", ".join(map(str, given)) or "nothing"
        raise ImageError(f"{where}: no images found; expected files or folders with {_list_suffixes()}")
    return tuple(found.values())


def is_zarr(path: Path) -> bool:
    """Returns whether a folder holds a group or an array of zarr."""
    return path.is_dir() and any((path / mark).is_file() for mark in _ZARR_MARKS)


def natural_key(path: Path) -> tuple[tuple[tuple[int, str], ...], ...]:
    """Returns a sort key that puts `tile2.png` before `tile10.png`, folder by folder.

    >>> [str(path) for path in sorted([Path("tile10.png"), Path("tile2.png")], key=natural_key)]
    ['tile2.png', 'tile10.png']
    """
    return tuple(tuple(map(_key_piece, re.findall(r"[0-9]+|[^0-9]+", part))) for part in path.parts)


def _expand(path: Path) -> Iterator[Path]:
    if not path.is_dir() or is_zarr(path):
        yield path
        return
    yield from sorted(_walk(path), key=lambda image: (natural_key(image), str(image)))


def _walk(path: Path) -> Iterator[Path]:
    for root, names, files in os.walk(path):
        folders = [Path(root, name) for name in names if not name.startswith(".")]
        arrays = [folder for folder in folders if is_zarr(folder)]
        names[:] = [folder.name for folder in folders if folder not in arrays]  # chunks are many, and no images
        found = (Path(root, file) for file in files if not file.startswith("."))
        yield from (file for file in found if file.suffix.lower() in SUFFIXES and file.is_file())
        yield from arrays


def _key_piece(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (-1, text.lower())


def _list_suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))
