"""The small chart."""

from __future__ import annotations

import numpy as np

from fullyconv.report.plot import LINE, plot_points


def test_points_stand_where_their_values_say() -> None:
    points = [(1.0, 0.5, "a"), (10.0, 0.25, "b"), (100.0, 0.0, "c")]
    chart = plot_points(points, x_label="x", y_label="y", title="t")
    blue = np.argwhere((chart == LINE).all(2))
    left, right = blue[blue[:, 1].argmin()], blue[blue[:, 1].argmax()]
    assert left[0] < right[0]  # the first is high, the last low
    middle = blue[np.abs(blue[:, 1] - (left[1] + right[1]) / 2).argmin()]
    assert abs(middle[0] - (left[0] + right[0]) / 2) < 12  # equal steps of a logarithm, equal steps down


def test_one_point_and_equal_points() -> None:
    for points in ([(5.0, 1.0, "one")], [(5.0, 1.0, "a"), (5.0, 1.0, "b")]):
        assert plot_points(points, x_label="x", y_label="y", title="t").shape[2] == 3
