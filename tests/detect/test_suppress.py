import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullyconv.detect import suppress


def slow_suppress(boxes: np.ndarray, scores: np.ndarray, iou: float, groups: np.ndarray) -> list[int]:
    """Returns what stays, by comparing each box with every better one, one pair at a time."""
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(groups[index] != groups[k] or slow_iou(boxes[index], boxes[k]) <= iou for k in kept):
            kept.append(index)
    return kept


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union else 0.0


box = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 20), st.integers(1, 20))
rows = st.lists(st.tuples(box, st.integers(0, 5), st.integers(0, 2)), max_size=60)


@given(rows, st.sampled_from([0.0, 0.25, 0.3, 0.5, 1.0]), st.booleans())
def test_equals_the_slow_obvious_way(rows: list, iou: float, by_class: bool) -> None:
    boxes = np.array([(x, y, x + w, y + h) for (x, y, w, h), _, _ in rows], float).reshape(-1, 4)
    scores = np.array([score for _, score, _ in rows], float)
    groups = np.array([group for *_, group in rows], int) if by_class else np.zeros(len(rows), int)
    got = suppress(boxes, scores, iou=iou, groups=groups if by_class else None)
    assert got.tolist() == slow_suppress(boxes, scores, iou, groups)


@pytest.mark.parametrize("count", [200, 900])
def test_blocks_join_without_a_seam(count: int) -> None:
    rng = np.random.default_rng(count)
    corner = rng.uniform(0, 60, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(2, 12, (count, 2))])
    scores = rng.uniform(size=count)
    got = suppress(boxes, scores, iou=0.3)
    assert got.tolist() == slow_suppress(boxes, scores, 0.3, np.zeros(count, int))


def test_exactly_the_limit_is_two_objects() -> None:
    boxes = np.array([[0, 0, 2, 1], [1, 0, 3, 1]], float)  # intersection 1, union 3
    assert suppress(boxes, np.array([1.0, 2.0]), iou=1 / 3).tolist() == [1, 0]
    assert suppress(boxes, np.array([1.0, 2.0]), iou=0.33).tolist() == [1]


@pytest.mark.parametrize("spread", [20_000, 1_000, 0])
def test_a_hundred_thousand_boxes_in_seconds(spread: int) -> None:
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 1, (100_000, 2)) * spread
    boxes = np.hstack([corner, corner + 25])
    start = time.perf_counter()
    kept = suppress(boxes, rng.uniform(size=100_000), iou=0.3)
    assert time.perf_counter() - start < 20  # about a second where nothing else runs
    assert 0 < len(kept) < 100_000
