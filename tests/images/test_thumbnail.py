import numpy as np
import pytest

from fullyconv.errors import OptionError
from fullyconv.images import thumbnail
from fullyconv.images.thumbnail import choose_level, read_thumbnail
from pyramids import Pyramid

RANDOM = np.random.default_rng(3)


def make_image(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return RANDOM.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("size", [(12, 18), (4, 6), (5, 7), (1, 1)])
def test_each_pixel_is_the_mean_of_those_it_stands_for(size, monkeypatch):
    monkeypatch.setattr(thumbnail, "_BLOCK_PX", 36)  # several blocks even here
    image = make_image(12, 18, 3)
    source = Pyramid([image])
    found = read_thumbnail(source, size)
    rows, columns = (np.arange(n + 1) * length // n for n, length in zip(size, (12, 18), strict=True))
    for i in range(size[0]):
        for j in range(size[1]):
            part = image[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
            np.testing.assert_allclose(found[i, j], part.mean((0, 1)), atol=0.51)
    assert found.shape == (*size, 3)
    if size == (4, 6):
        assert len(source.reads) > 1


def test_the_coarsest_level_that_is_fine_enough_is_read():
    arrays = [make_image(64, 96, 3), make_image(32, 48, 3), make_image(8, 12, 3)]
    source = Pyramid(arrays)
    read_thumbnail(source, (16, 24))
    assert {level for level, _, _ in source.reads} == {1}
    assert [choose_level(source.levels, size) for size in ((64, 96), (33, 10), (32, 48), (8, 12), (2, 3))] == [
        0,
        0,
        1,
        2,
        2,
    ]


def test_transparent_pixels_are_white():
    image = np.zeros((2, 2, 4), np.uint8)
    image[0, :, 3] = 255
    assert read_thumbnail(Pyramid([image]), (2, 1)).tolist() == [[[0, 0, 0]], [[255, 255, 255]]]


def test_16_bits_become_8_and_other_bands_stay():
    image = np.array([[[0, 257, 65535, 514, 1285]]], np.uint16)
    assert read_thumbnail(Pyramid([image]), (1, 1)).tolist() == [[[0, 1, 255, 2, 5]]]


@pytest.mark.parametrize("size", [(5, 4), (4, 5), (0, 4)])
def test_a_picture_larger_than_the_image_is_refused(size):
    with pytest.raises(OptionError, match="expected a picture of 1x1 to 4x4"):
        read_thumbnail(Pyramid([make_image(4, 4, 1)]), size)
