import numpy as np
import pytest
from PIL import Image

from fullyconv.errors import ImageError
from fullyconv.images import read_image
from fullyconv.images.pixels import to_image8
from pictures import make_picture


def test_16_bit_is_divided_by_257_and_rounded() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    np.testing.assert_array_equal(to_image8(values), np.floor(values / 257 + 0.5).astype(np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_8_bit_stays_as_it_is(channels: int) -> None:
    pixels = make_picture(channels=channels)
    np.testing.assert_array_equal(to_image8(pixels), pixels)


@pytest.mark.parametrize(("channels", "mode"), [(2, "LA"), (4, "RGBA")])
def test_transparency_is_laid_over_white_as_read_image_does(tmp_path, channels: int, mode: str) -> None:
    pixels = make_picture(channels=channels)
    Image.frombytes(mode, (120, 100), pixels.tobytes()).save(tmp_path / "a.png")
    np.testing.assert_array_equal(to_image8(pixels), read_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(to_image8(pixels.astype(np.uint16) * 257), read_image(tmp_path / "a.png"))
    colours, alpha = pixels[:, :, :-1].astype(float), pixels[:, :, -1:] / 255
    np.testing.assert_allclose(to_image8(pixels), colours * alpha + 255 * (1 - alpha), atol=1)


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_chosen_bands_are_never_transparency(channels: int) -> None:
    pixels = make_picture(channels=channels)
    np.testing.assert_array_equal(to_image8(pixels, bands=tuple(range(1, channels + 1))), pixels)


def test_a_pixel_becomes_the_same_whichever_region_it_is_in() -> None:
    pixels = make_picture(channels=4, dtype=np.uint16)
    np.testing.assert_array_equal(to_image8(pixels)[17:50, 5:60], to_image8(pixels[17:50, 5:60]))


@pytest.mark.parametrize("pixels", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32)])
def test_what_no_source_gives(pixels) -> None:
    with pytest.raises(ImageError, match=r"expected pixels as uint8 or uint16 \(height, width, channels\), got"):
        to_image8(pixels)
