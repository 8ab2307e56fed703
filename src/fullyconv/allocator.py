"""Memory that is freed: kept for the next operation, or given back to the system."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1

_STATISTICS = Path("/proc/self/statm")


def keep_freed_memory() -> bool:
    """Has the C library keep large freed blocks for the next ones; returns whether it can, for the whole process.

    As it is, glibc gives each large tensor back to the system when it is freed and gets the next one fresh, page by
    page. On feature maps of hundreds of megabytes that takes as long as the convolutions do. A process that does
    little else than run networks wants them kept; it then stays as large as it ever was. Other C libraries are left
    alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl has none
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST) and mallopt(_TRIM_THRESHOLD, _LARGEST))


def measure_resident_bytes() -> int:
    """Returns how much memory the process has now, by the system's count; 0 where that is not Linux."""
    if not _STATISTICS.exists():
        return 0
    return int(_STATISTICS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def release_freed_memory(limit_bytes: int = 0) -> bool:
    """Gives freed memory back to the system if the process has more than `limit_bytes`; returns whether it did.

    Blocks of many sizes leave gaps that fit none: what is kept grows, slowly, far beyond what is ever used at once.
    """
    if measure_resident_bytes() <= limit_bytes:
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False


def releases_memory(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Returns the function so that what it has freed goes back to the system when it ends.

    For functions that run a network and keep little of it: the next one needs blocks of other sizes, and would come
    on top.
    """

    @wraps(function)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        finally:
            release_freed_memory()

    return run


class FreedBlocks:
    """Gives memory back to the system each time that so much has been freed since the last time."""

    def __init__(self, limit_bytes: int) -> None:
        """Takes what may be held back: giving memory back takes about a millisecond, more in large processes."""
        self._limit_bytes = limit_bytes
        self._bytes = 0

    def count(self, freed_bytes: int) -> None:
        """Notes what has been freed."""
        self._bytes += freed_bytes
        if self._bytes > self._limit_bytes:
            self._bytes = 0
            release_freed_memory()
