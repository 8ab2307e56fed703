"""The benchmark's measure of memory."""

from __future__ import annotations

import numpy as np
from memory import watch_growth

SIZE = 64 << 20


def test_the_peak_counts_and_not_what_is_left():
    kept = np.ones(SIZE, np.uint8)
    with watch_growth() as growth:
        part = np.ones(SIZE, np.uint8)
        total = int(part.sum()) + int(kept[0])
        del part
    assert total == SIZE + 1
    assert 0.9 * SIZE < growth.bytes < 1.5 * SIZE
    with watch_growth() as little:
        pass
    assert little.bytes < 0.1 * SIZE
