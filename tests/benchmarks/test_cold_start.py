"""What a conversion takes from a cold start is seen where nothing was loaded before, and only there."""

from __future__ import annotations

from classifiers import Case
from cold_start import load_libraries, make_tiny, measure_cold, measure_libraries


def test_libraries_count_the_first_time_only() -> None:
    load_libraries()
    again = measure_cold(Case("small", "tiny", make_tiny))
    assert measure_libraries() > 4 * again["cold_bytes"]
