"""Which image files a person means who names files and folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from fullyconv.errors import ImageError

SUFFIXES = frozenset({".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def find_images(paths: Iterable[Path | str]) -> tuple[Path, ...]:
    """Returns the images that `paths` name, each once, in the order given; a folder's in natural order.

    A folder gives the files in it and below it that have an image's suffix; hidden ones are left out.
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


def natural_key(path: Path) -> tuple[tuple[tuple[int, str], ...], ...]:
    """Returns a sort key that puts `tile2.png` before `tile10.png`, folder by folder.

    >>> [str(path) for path in sorted([Path("tile10.png"), Path("tile2.png")], key=natural_key)]
    ['tile2.png', 'tile10.png']
    """
    return tuple(tuple(map(_key_piece, re.findall(r"[0-9]+|[^0-9]+", part))) for part in path.parts)


def _expand(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    files = (file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    shown = (file for file in files if not _is_hidden(file.relative_to(path)))
    yield from sorted(shown, key=lambda file: (natural_key(file), str(file)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _key_piece(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (-1, text.lower())


def _list_suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))
