import subprocess
import sys

import pytest

CODE = """
import resource, torch
from fullyconv.runtime.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def touch(megabytes):
    torch.zeros(megabytes * 2**18)  # freed at once
touch(64)
for _ in range(8):
    touch(48)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    touch(48)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 48 * 2**20 // 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems' C libraries are left alone")
def test_large_blocks_are_used_again() -> None:
    """How often the process was given a page: for every page of every block, or hardly ever."""
    fresh, kept = (
        int(subprocess.run([sys.executable, "-c", CODE.format(keep=keep)], capture_output=True, check=True).stdout)
        for keep in (False, True)
    )
    assert fresh > 3 * PAGES
    assert kept < PAGES / 4
