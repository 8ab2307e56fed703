import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fullyconv.errors import OptionError
from fullyconv.train.networks import compact
from fullyconv.train.stages import infer_stride, plan_stages, reduce_window

SIDES = st.integers(8, 512)


@given(st.tuples(SIDES, SIDES))
def test_every_window_has_a_small_map_and_a_stride_of_a_power_of_two(window):
    rows, columns = reduce_window(window)
    assert 3 <= rows <= 6 and 3 <= columns <= 6
    for stride in infer_stride(plan_stages(window)):
        assert stride & (stride - 1) == 0


@given(st.tuples(SIDES, SIDES))
def test_a_window_holds_all_pixels_that_its_map_depends_on(window):
    for axis in (0, 1):
        pixels, stride = 1, 1
        for stage in plan_stages(window):
            pixels += (stage.kernel[axis] - 1) * stride
            stride *= stage.stride[axis]
            pixels += (stage.pool[axis] - 1) * stride
            stride *= stage.pool[axis]
        extent = pixels + (reduce_window(window)[axis] - 1) * stride
        assert extent <= window[axis]


@settings(max_examples=15, deadline=None)
@given(st.tuples(st.integers(8, 150), st.integers(8, 150)))
def test_the_planned_map_is_the_map_that_torch_makes(window):
    network = compact(window, 3, 1).eval()
    features = torch.nn.Sequential(*(part for name, part in network.named_children() if name.startswith("stage")))
    with torch.no_grad():
        assert tuple(features(torch.zeros(1, 3, *window)).shape[2:]) == reduce_window(window)


def test_large_windows_start_with_a_stride():
    assert plan_stages((96, 96))[0].stride == (1, 1)
    assert plan_stages((224, 224))[0].stride == (2, 2)
    assert plan_stages((512, 512))[0].stride == (4, 4)
    assert plan_stages((16, 1024))[0].stride == (1, 2)


def test_a_tiny_window_is_refused():
    with pytest.raises(OptionError, match=r"network compact: expected a window of at least 8 .* got 40x7"):
        plan_stages((7, 40))
