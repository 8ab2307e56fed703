"""How much memory a piece of work takes at its peak, as the operating system (Linux) counts it."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_PROCESS = Path("/proc/self")


@dataclass(slots=True)
class Growth:
    """What a block took.

    Attributes:
        bytes: the most that the process held during the block, less what it held before; 0 until the block ends.
    """

    bytes: int = 0


@contextmanager
def watch_growth() -> Iterator[Growth]:
    """Yields what the block takes at its peak; filled in when it ends.

    What earlier work has freed goes back to the system first, or the block would use that without being seen.
    """
    growth = Growth()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # of glibc
    (_PROCESS / "clear_refs").write_text("5")  # forgets earlier peaks: proc_pid_clear_refs(5)
    before = _read("VmRSS")
    yield growth
    growth.bytes = max(0, _read("VmHWM") - before)


def _read(name: str) -> int:
    for line in (_PROCESS / "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_PROCESS}/status: expected a line {name}, found none")
