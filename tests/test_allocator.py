import subprocess
import sys

from fullyconv.allocator import keep_freed_memory, measure_resident_bytes, release_freed_memory

RELEASING = """
import torch
from fullyconv.allocator import keep_freed_memory, measure_resident_bytes, release_freed_memory
keep_freed_memory()
before = measure_resident_bytes()
torch.ones(32 * 2**20)
wall = [torch.ones(100)]  # above the freed block, so that the heap's end does not move back
assert before > 0
assert not release_freed_memory(before + 2**30)
kept = measure_resident_bytes()
assert release_freed_memory(before)
print((kept - measure_resident_bytes()) >> 20)
"""

CODE = """
import resource, torch
from fullyconv.allocator import keep_freed_memory
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


def test_large_blocks_are_used_again() -> None:
    """How often the process was given a page: for every page of every block, or hardly ever."""
    if not sys.platform.startswith("linux"):
        assert not keep_freed_memory()
        return
    fresh, kept = (
        int(subprocess.run([sys.executable, "-c", CODE.format(keep=keep)], capture_output=True, check=True).stdout)
        for keep in (False, True)
    )
    assert fresh > 3 * PAGES
    assert kept < PAGES / 4


def test_what_is_kept_is_given_back_above_a_limit() -> None:
    if not sys.platform.startswith("linux"):
        assert measure_resident_bytes() == 0
        assert not release_freed_memory(0)
        return
    released = subprocess.run([sys.executable, "-c", RELEASING], capture_output=True, check=True).stdout
    assert 100 <= int(released) <= 140, "of a block of 128 MiB"


RELEASING_BETWEEN = """
import torch
from fullyconv.allocator import FreedBlocks, keep_freed_memory, measure_resident_bytes, releases_memory
keep_freed_memory()
walls = []
def run(fails=False):
    torch.ones(32 * 2**20)
    walls.append(torch.ones(100))
    assert not fails, "asked to"
    return "scores"
def grow(function, *args):
    before = measure_resident_bytes()
    try:
        result = function(*args)
    except AssertionError as error:
        result = str(error)
    return f"{result} {(measure_resident_bytes() - before) >> 20}"
blocks = FreedBlocks(100)
watched = releases_memory(run)
print(grow(watched), grow(watched, True), grow(run), grow(blocks.count, 100), grow(blocks.count, 1), watched.__name__)
"""


def test_a_function_gives_back_what_it_freed_also_when_it_fails() -> None:
    """What a block of 128 MiB leaves behind, in MiB; freed blocks are given back once they are more than a limit."""
    made = subprocess.run([sys.executable, "-c", RELEASING_BETWEEN], capture_output=True, check=True, text=True).stdout
    scores, first, _, _, failed, plain, kept, _, little, _, enough, name = made.split()
    assert (scores, plain, name) == ("scores", "scores", "run")
    if sys.platform.startswith("linux"):
        assert int(first) < 10 and int(failed) < 10
        assert int(kept) > 100
        assert int(little) == 0
        assert int(enough) < -100
