"""What a conversion takes from a cold start is seen where nothing was loaded before, and only there."""

from __future__ import annotations

from functools import partial

from apart import Limits, run_apart
from classifiers import Case
from cold_start import load_libraries, make_tiny, measure_cold, measure_libraries


def test_libraries_count_the_first_time_only() -> None:
    load_libraries()
    again = run_apart(partial(measure_cold, Case("small", "tiny", make_tiny)), Limits(60, 2**34))
    assert measure_libraries() > 2 * again["cold_bytes"]
