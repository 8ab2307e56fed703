"""Memory that is freed between operations, kept for the next one."""

from __future__ import annotations

import ctypes
import sys

# Parameters of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1


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
