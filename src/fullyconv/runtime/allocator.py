"""Memory that is freed between operations, kept for the next one."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

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


def release_freed_memory(limit_bytes: int) -> bool:
    """Gives freed memory back to the system if the process has more than `limit_bytes`; returns whether it did.

    Blocks of many sizes leave gaps that fit none: what is kept grows, slowly, far beyond what is ever used at once.
    """
    if measure_resident_bytes() <= limit_bytes:
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (AttributeError, OSError):
        return False
