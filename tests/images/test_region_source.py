from contextlib import closing

import numpy as np
import pytest

from fullyconv.errors import ImageError, RegionError
from fullyconv.images.region_source import RegionSource, explain
from fullyconv.images.stored import Stored, measure_levels


class Failing:
    """A decoder that fails as it is told."""

    def __init__(self, error: Exception) -> None:
        self.error, self.closed = error, 0

    def fetch(self, level, origin_yx, size):
        raise self.error

    def close(self) -> None:
        self.closed += 1


STORED = Stored(measure_levels([(50, 60), (25, 30)]), np.dtype(np.uint8), 3, (0, 1, 2))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "it does not fit into memory"),
        (OSError(5, "Input/output error"), "input/output error"),
        (ValueError("two\n lines"), "two lines"),
        (KeyError(), "KeyError"),
    ],
)
def test_whatever_a_decoder_raises_becomes_one_line(error: Exception, message: str) -> None:
    assert explain(error) == message
    source = RegionSource("name", STORED, (0, 1, 2), Failing(error))
    with closing(source), pytest.raises(RegionError) as caught:
        source.read(1, (2, 3), (4, 5))
    assert str(caught.value) == f"name: the region 5x4 from x=3, y=2 of level 1 cannot be read: {message}"
    assert caught.value.__cause__ is error


def test_errors_of_our_own_stay_as_they_are() -> None:
    source = RegionSource("name", STORED, (0,), Failing(ImageError("as it is")))
    with closing(source), pytest.raises(ImageError, match=r"^as it is$"):
        source.read(0, (0, 0), (1, 1))


def test_it_is_closed_once() -> None:
    fetcher = Failing(ValueError())
    source = RegionSource("name", STORED, (0,), fetcher)
    source.close()
    source.close()
    assert fetcher.closed == 1
