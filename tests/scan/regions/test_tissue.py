import numpy as np
import pytest
from skimage.color import rgb2hsv
from skimage.filters import threshold_otsu

from fullyconv.errors import OptionError
from fullyconv.scan.regions import tissue
from fullyconv.scan.regions.tissue import find_threshold, find_tissue, measure_saturation
from pyramids import Pyramid


def make_slide(height: int = 60, width: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Returns a slide and where it has tissue: pink on nearly white, with noise."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width]
    stained = (y - 25) ** 2 + (x - 40) ** 2 < 400
    colours = np.where(stained[:, :, None], (190, 90, 160), (244, 242, 243))
    return np.clip(colours + random.integers(-6, 7, colours.shape), 0, 255).astype(np.uint8), stained


def test_tissue_is_found():
    slide, stained = make_slide()
    assert (find_tissue(Pyramid([slide]), "slide.tif") == stained).all()


def test_a_large_slide_is_shrunk_first(monkeypatch):
    monkeypatch.setattr(tissue, "_LOOKED_AT_PX", 600)
    slide, stained = make_slide()
    found = find_tissue(Pyramid([slide]), "slide.tif")
    assert found.shape == (20, 30)
    assert (found == stained[1::3, 1::3]).mean() > 0.97


def test_black_fill_is_no_tissue():
    slide, stained = make_slide()
    slide[50:] = np.random.default_rng(2).integers(0, 4, (10, 90, 3))
    assert (find_tissue(Pyramid([slide]), "slide.tif") == stained).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_otsu_s(seed):
    random = np.random.default_rng(seed)
    values = np.concatenate([random.normal(60, 20, 3000), random.normal(150, 30, 900)]).clip(0, 255).astype(np.uint8)
    assert find_threshold(np.bincount(values, minlength=256)) == threshold_otsu(values)


def test_saturation_is_that_of_hsv():
    image = np.random.default_rng(4).integers(16, 256, (20, 20, 3), np.uint8)
    np.testing.assert_allclose(measure_saturation(image), rgb2hsv(image)[:, :, 1] * 255, atol=1)


def test_an_image_without_colours_is_refused():
    with pytest.raises(OptionError, match=r"grey.tif: expected red, green and blue to find tissue .*, got 1 channels"):
        find_tissue(Pyramid([np.zeros((9, 9, 1), np.uint8)]), "grey.tif")


def test_one_saturation_all_over_is_refused():
    with pytest.raises(OptionError, match=r"white.tif: expected tissue on a ground of another saturation"):
        find_tissue(Pyramid([np.full((9, 9, 3), 255, np.uint8)]), "white.tif")
