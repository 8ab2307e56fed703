"""A function in its own process: its result, its end by force, its limits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# In a fresh interpreter, because a process that has run torch has threads, and those do not survive a fork.
SCRIPT = """
import json, os, sys, time
from apart import Limits, run_apart
functions = {
    "a result": lambda: {"outcome": "right"},
    "too slow": lambda: time.sleep(60),
    "crash": lambda: os._exit(3),
    "too large": lambda: (bytearray(300_000_000), time.sleep(60)),
}
seconds = 1 if sys.argv[1] == "too slow" else 50
print(json.dumps(run_apart(functions[sys.argv[1]], Limits(seconds, 200_000_000))))
"""


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("a result", {"outcome": "right"}),
        ("too slow", {"outcome": "too slow", "message": "not done after 1 s"}),
        ("crash", {"outcome": "crash", "message": "the process ended with code 3"}),
        ("too large", {"outcome": "too large", "message": "more than 0 GB of memory"}),
    ],
)
def test_every_end_is_a_row(how: str, expected: dict[str, str]) -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    command = [sys.executable, "-c", SCRIPT, how]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=40)
    assert json.loads(done.stdout) == expected
