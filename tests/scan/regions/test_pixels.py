import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fullyconv.errors import OptionError
from fullyconv.grid import Grid
from fullyconv.scan.placement import Placement
from fullyconv.scan.regions import PixelMask, pixels
from fullyconv.scan.regions.pixels import check_aspect, read_mask, read_picture_mask
from pyramids import Pyramid


@given(st.data())
def test_a_cell_is_wanted_where_the_centre_of_its_window_is(data: st.DataObject):
    grid = Grid(data.draw(st.tuples(*[st.integers(1, 9)] * 2)), data.draw(st.tuples(*[st.integers(1, 5)] * 2)), (1, 1))
    size = tuple(window + data.draw(st.integers(0, 20)) for window in grid.window_px)
    shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    wanted = np.random.default_rng(data.draw(st.integers(0, 99))).random(shape) < 0.5
    mask = PixelMask(wanted, Placement(grid, size, (2.0, 2.0)))
    rows, columns = grid.shape(size)
    found = mask.inside((0, rows), (0, columns))
    for i in range(rows):
        for j in range(columns):
            x0, y0, x1, y1 = grid.box_xyxy((i, j))
            at = int((y0 + y1) / 2 * shape[0] / size[0]), int((x0 + x1) / 2 * shape[1] / size[1])
            assert found[i, j] == wanted[at]
    assert mask.selects_any((0, rows), (0, columns)) == found.any()
    assert mask.selects_any((rows - 1, rows), (0, 1)) == found[-1, 0]


def test_a_mask_counts_where_it_is_not_black():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 1, 2] = image[1, 0, 0] = 1
    assert read_mask(Pyramid([image]), "mask.png", (200, 300)).tolist() == [[False, True, False], [True, False, False]]


def test_what_is_transparent_counts_as_black():
    image = np.full((1, 2, 4), 255, np.uint8)
    image[0, 0, 3] = 0
    assert read_mask(Pyramid([image]), "mask.png", (100, 200)).tolist() == [[False, True]]
    assert read_mask(Pyramid([image[:, :, 2:]]), "mask.png", (100, 200)).tolist() == [[False, True]]


def test_a_mask_is_read_in_strips_from_the_finest_level_that_fits(monkeypatch):
    monkeypatch.setattr(pixels, "LARGEST_MASK_PX", 100)
    monkeypatch.setattr(pixels, "_STRIP_PX", 25)
    random = np.random.default_rng(1)
    arrays = [random.integers(0, 2, (side, side, 1), np.uint8) for side in (20, 10, 5)]
    source = Pyramid(arrays)
    assert (read_mask(source, "mask.tif", (40, 40)) == (arrays[1][:, :, 0] > 0)).all()
    assert [size for _, _, size in source.reads] == [(2, 10)] * 5
    with pytest.raises(OptionError, match=r"mask.tif: expected a mask of at most 100 pixels, got 20x20"):
        read_mask(Pyramid(arrays[:1]), "mask.tif", (40, 40))


@pytest.mark.parametrize("size", [(100, 200), (50, 100), (13, 25), (12, 25), (1, 2), (3, 7), (1000, 2000)])
def test_any_size_with_the_aspect_will_do(size):
    check_aspect(size, (100, 200), "mask.png")


@pytest.mark.parametrize("size", [(200, 100), (100, 100), (100, 203), (20, 45)])
def test_another_aspect_is_refused(size):
    with pytest.raises(OptionError, match=r"mask.png: expected a mask with the aspect of the image, 200x100, got "):
        check_aspect(size, (100, 200), "mask.png")


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "RGB", "LA", "RGBA"])
def test_pictures_of_every_kind_are_masks(tmp_path, mode):
    wanted = np.zeros((20, 30), bool)
    wanted[5:9, 10:25] = True
    if mode == "I;16":
        picture = Image.fromarray(wanted.astype(np.uint16) * 3)  # a label of 3, which divided by 257 would be nothing
    else:
        picture = Image.fromarray(wanted.astype(np.uint8) * 255).convert("1" if mode == "1" else mode)
    if mode in ("LA", "RGBA"):  # black and opaque was wanted by nobody, white and transparent neither
        picture = Image.new(mode, (30, 20), 0xFFFFFF if mode == "RGBA" else 255)
        picture.putalpha(Image.fromarray(wanted.astype(np.uint8) * 255))
    picture.save(tmp_path / "mask.png")
    assert (read_picture_mask(tmp_path / "mask.png", (200, 300)) == wanted).all()


def test_a_picture_of_another_aspect_or_too_large_is_refused(tmp_path, monkeypatch):
    Image.new("L", (30, 20)).save(tmp_path / "mask.png")
    with pytest.raises(
        OptionError, match=r"mask.png: expected a mask with the aspect of the image, 200x300, got 30x20"
    ):
        read_picture_mask(tmp_path / "mask.png", (300, 200))
    monkeypatch.setattr(pixels, "LARGEST_PICTURE_PX", 599)
    with pytest.raises(
        OptionError, match=r"mask.png: expected a mask of at most 599 pixels, got 30x20; save it smaller"
    ):
        read_picture_mask(tmp_path / "mask.png", (200, 300))
