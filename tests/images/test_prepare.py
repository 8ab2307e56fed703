import numpy as np
import pytest
from PIL import Image

from fullyconv.card import Colour, ModelCard, Preprocessing
from fullyconv.errors import ImageError
from fullyconv.images import match_channels, prepare, resize

RNG = np.random.default_rng(11)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = RGB[:, :, :1]


def card(channels: int, colour: Colour = "rgb", **values: object) -> ModelCard:
    return ModelCard((4, 4), channels, preprocessing=Preprocessing(colour=colour, **values))


def test_scale_mean_and_std() -> None:
    got = prepare(RGB, card(3, scale=0.5, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0)))
    assert got.dtype == np.float32
    assert got.shape == (3, 6, 8)
    assert got.flags["C_CONTIGUOUS"]
    for channel in range(3):
        expected = (RGB[:, :, channel] * 0.5 - (channel + 1)) / (channel + 4)
        np.testing.assert_allclose(got[channel], expected, rtol=1e-6)


def test_one_value_serves_all_channels() -> None:
    got = prepare(RGB, card(3, mean=(0.5,), std=(0.25,)))
    np.testing.assert_allclose(got[2], (RGB[:, :, 2] / 255 - 0.5) / 0.25, rtol=1e-5, atol=1e-6)


def test_colour_orders() -> None:
    np.testing.assert_array_equal(match_channels(RGB, card(3)), RGB)
    np.testing.assert_array_equal(match_channels(RGB, card(3, "bgr")), RGB[:, :, [2, 1, 0]])


def test_luma_is_what_grey_files_hold() -> None:
    expected = np.asarray(Image.fromarray(RGB).convert("L"))
    np.testing.assert_array_equal(match_channels(RGB, card(1, "grey"))[:, :, 0], expected)
    np.testing.assert_array_equal(match_channels(RGB, card(1))[:, :, 0], expected)
    np.testing.assert_array_equal(match_channels(RGB, card(3, "grey"))[:, :, 1], expected)


def test_grey_images() -> None:
    np.testing.assert_array_equal(match_channels(GREY, card(1, "grey")), GREY)
    np.testing.assert_array_equal(match_channels(GREY, card(3, "bgr")), np.repeat(GREY, 3, axis=2))


def test_other_channels_pass_as_they_are() -> None:
    image = RNG.integers(0, 256, (5, 5, 7), dtype=np.uint8)
    np.testing.assert_array_equal(match_channels(image, card(7)), image)


@pytest.mark.parametrize(("have", "want", "expected"), [(4, 3, "1 .* or 3"), (2, 1, "1 .* or 3"), (3, 5, "5")])
def test_channels_that_do_not_fit(have: int, want: int, expected: str) -> None:
    image = np.zeros((5, 5, have), np.uint8)
    with pytest.raises(ImageError, match=f"with {expected}.*channels for this network of {want}, got {have};"):
        prepare(image, card(want))


def test_arrays_that_are_no_image() -> None:
    for array in [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8)]:
        with pytest.raises(ImageError, match=r"expected an image as uint8 \(height, width, channels\), got"):
            prepare(array, card(3))
        with pytest.raises(ImageError, match="expected an image as uint8"):
            resize(array, (3, 3))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_resize_averages_when_it_shrinks(channels: int) -> None:
    stripes = np.zeros((64, 64, channels), np.uint8)
    stripes[:, ::2] = 255
    small = resize(stripes, (16, 8))
    assert small.shape == (16, 8, channels)
    assert small.dtype == np.uint8
    np.testing.assert_allclose(small.astype(int), 127, atol=12)


def test_resize_to_its_own_size_changes_nothing() -> None:
    assert resize(RGB, (6, 8)) is RGB


def test_resize_takes_height_first() -> None:
    assert resize(GREY, (12, 4)).shape == (12, 4, 1)
