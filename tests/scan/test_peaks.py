import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fullyconv.scan import find_peaks


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 9), st.integers(1, 9)),
        elements=st.sampled_from([0, 0.5, 0.75, 1]),
    ),
    st.sampled_from([0.25, 0.5, 0.8]),
)
def test_equals_looking_at_each_neighbourhood(scores: np.ndarray, threshold: float) -> None:
    expected = [
        [i, j]
        for i in range(scores.shape[0])
        for j in range(scores.shape[1])
        if scores[i, j] >= threshold and scores[i, j] == scores[max(0, i - 1) : i + 2, max(0, j - 1) : j + 2].max()
    ]
    assert find_peaks(scores, threshold).tolist() == expected


def test_raw_scores_below_zero() -> None:
    assert find_peaks(np.array([[-3.0, -1.0], [-2.0, -4.0]]), -2.5).tolist() == [[0, 1]]
