"""A function in a process of its own, with limits: what crashes, hangs or eats the memory ends there."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may use: wall-clock seconds, and bytes of memory that it holds."""

    seconds: float
    memory_bytes: int


def run_apart(function: Callable[[], dict[str, Any]], limits: Limits) -> dict[str, Any]:
    """Returns what `function` returns, or `{"outcome": ..., "message": ...}` where it did not come to its end.

    The process is forked, so that what is imported here need not be imported again; nothing here may have
    started threads.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(function, sender))
    start = time.perf_counter()
    process.start()
    sender.close()
    try:
        while True:
            if receiver.poll(_POLL_S):
                return _receive(receiver, process)
            if time.perf_counter() - start > limits.seconds:
                return {"outcome": "too slow", "message": f"not done after {limits.seconds:.0f} s"}
            if _read_memory(process.pid) > limits.memory_bytes:
                return {"outcome": "too large", "message": f"more than {limits.memory_bytes / 1e9:.0f} GB of memory"}
    finally:
        process.kill()
        process.join()


def _send_result(function: Callable[[], dict[str, Any]], sender: Connection) -> None:
    sender.send(function())


def _receive(receiver: Connection, process: multiprocessing.process.BaseProcess) -> dict[str, Any]:
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        process.join()
        return {"outcome": "crash", "message": f"the process ended with code {process.exitcode}"}
    return result


def _read_memory(pid: int | None) -> int:
    """Returns the memory that a process holds, in bytes; 0 where that cannot be read."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    held = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(held[0]) * 1024 if held else 0
