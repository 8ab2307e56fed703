"""Whether an image is still the one it was, told without reading all of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from fullyconv.errors import ImageError
from fullyconv.images.listing import is_zarr

# Head, tail and fourteen pieces between. Formats keep their directories at the head or the tail; and whoever
# edits a file in place rewrites it, as a rule, which its time tells as well.
_PIECES, _PIECE_BYTES = 16, 2**16
# Looking at a file takes some ten microseconds: a few seconds for as many as these.
_LARGEST_FOLDER = 2**18
_METADATA = frozenset({"zarr.json", ".zarray", ".zattrs", ".zgroup"})


def check_file(path: Path) -> None:
    """Checks that there is a file with something in it.

    Raises:
        ImageError: there is not.
    """
    if not path.exists():
        raise ImageError(f"{path}: no such image")
    if not path.is_file():
        kind = "a folder of zarr, which is read by region only" if is_zarr(path) else "a folder"
        raise ImageError(f"{path}: expected an image file, got {kind}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: expected an image, got an empty file")


def identify_file(path: Path) -> str:
    """Returns a text that is another one if the file is replaced: of its size, its time and pieces of its bytes.

    It does not contain the path: a file that is moved, its time kept, stays the same image.

    Raises:
        ImageError: the file is missing or cannot be read.
    """
    check_file(path)
    try:
        status = path.stat()
        digest = hashlib.blake2b(f"{status.st_size} {status.st_mtime_ns}".encode(), digest_size=16)
        with path.open("rb") as file:
            for offset in _spread(status.st_size):
                file.seek(offset)
                digest.update(file.read(_PIECE_BYTES))
    except OSError as error:
        raise ImageError(f"{path}: the image cannot be read: {(error.strerror or str(error)).lower()}") from None
    return digest.hexdigest()


def identify_folder(path: Path) -> str:
    """Returns a text that is another one if files of a folder are replaced: of their names, sizes and times.

    Metadata files are read as well; of a very large folder the first quarter of a million files count.

    Raises:
        ImageError: the folder is missing or cannot be read.
    """
    if not path.is_dir():
        raise ImageError(f"{path}: no such image")
    digest = hashlib.blake2b(digest_size=16)
    try:
        for file in islice(_walk(path), _LARGEST_FOLDER):
            status = file.stat()
            digest.update(f"{file.relative_to(path).as_posix()} {status.st_size} {status.st_mtime_ns}\n".encode())
            if file.name in _METADATA:
                digest.update(file.read_bytes())
    except OSError as error:
        raise ImageError(f"{path}: the image cannot be read: {(error.strerror or str(error)).lower()}") from None
    return digest.hexdigest()


def _walk(path: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(path):
        folders.sort()
        yield from (Path(folder, file) for file in sorted(files))


def _spread(size: int) -> list[int]:
    last = max(0, size - _PIECE_BYTES)
    return sorted({round(last * piece / (_PIECES - 1)) for piece in range(_PIECES)})
