"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fullyconv.errors import OutputError


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Yields a path beside `path`; what was written there becomes `path` when the block ends, or vanishes.

    The suffix is kept, because libraries choose a format by it.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    make_folder(path.parent)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); choose another place with -o") from None
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
        part.chmod(0o666 & ~_read_umask())
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def use_folder(path: Path) -> Iterator[Path]:
    """Makes `path` a folder for the block; if it is new and nothing was put there, it is gone afterwards.

    Raises:
        OutputError: it exists and is no folder, or may not be written to.
    """
    is_new = not path.exists()
    make_folder(path)
    try:
        yield path
    finally:
        if is_new and not any(path.iterdir()):
            path.rmdir()


def make_folder(path: Path) -> None:
    """Makes `path` a folder that files can be written to, with its parents.

    Raises:
        OutputError: it exists and is no folder, or may not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made a folder ({error.strerror}); choose another with -o") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder is not writable; choose another with -o")


def _read_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
