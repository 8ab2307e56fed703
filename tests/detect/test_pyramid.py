from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullyconv.detect import DetectSettings, plan_pyramid
from fullyconv.errors import ImageError


@given(
    st.tuples(st.integers(20, 900), st.integers(20, 900)),
    st.tuples(st.integers(2, 20), st.integers(2, 20)),
    st.floats(1.05, 4),
    st.tuples(st.integers(2, 60), st.integers(2, 60)) | st.none(),
)
def test_automatic_scales(size: tuple, window: tuple, step: float, smallest: tuple | None) -> None:
    settings = DetectSettings(scale_step=step, min_object_px=smallest)
    first = 1.0 if smallest is None else min(w / s for w, s in zip(window, smallest, strict=True))
    try:
        levels = plan_pyramid(size, window, settings)
    except ImageError:
        assert any(round(length * first) < least for length, least in zip(size, window, strict=True))
        return
    scales = [level.scale for level in levels]
    assert scales[0] == first
    assert scales == sorted(scales, reverse=True)
    assert all(big / small > step * (1 - 1e-9) for big, small in pairwise(scales))
    assert all(level.size[axis] >= window[axis] for level in levels for axis in (0, 1))
    beyond = scales[-1] / step**2  # one step may be a double: two scales can round to one size
    assert any(round(size[axis] * beyond) <= window[axis] for axis in (0, 1))


def test_explicit_scales_in_their_order_each_size_once() -> None:
    levels = plan_pyramid((100, 80), (25, 25), DetectSettings(scales=(0.5, 2.0, 0.5, 0.1, 1.0)))
    assert [(level.scale, level.size) for level in levels] == [
        (0.5, (50, 40)),
        (2.0, (200, 160)),
        (1.0, (100, 80)),
    ]


def test_the_window_is_the_smallest_object_unless_told() -> None:
    settings = DetectSettings(scale_step=sqrt(2), min_object_px=(50, 20))
    assert plan_pyramid((100, 80), (25, 25), settings)[0].scale == 0.5


@pytest.mark.parametrize("settings", [DetectSettings(), DetectSettings(scales=(0.5, 1.0))])
def test_no_scale_left(settings: DetectSettings) -> None:
    with pytest.raises(ImageError, match=r"expected at least 25x40 \(width x height\), got 80x30 at the largest"):
        plan_pyramid((30, 80), (40, 25), settings)


def test_absurd_enlargement() -> None:
    with pytest.raises(ImageError, match=r"expected at most 1073741824 pixels .* got 100000x100000 at 1000;"):
        plan_pyramid((100, 100), (25, 25), DetectSettings(scales=(1000.0,)))
