import pickle
from contextlib import closing

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from fullyconv.errors import ImageError
from fullyconv.images import resize, scaled_source
from fullyconv.images.array_source import ArraySpec
from fullyconv.images.pixels import to_image8
from fullyconv.images.scaled_source import ScaledSpec, choose_level
from fullyconv.images.source import ImageLevel
from fullyconv.images.tiff_source import TiffSpec
from pictures import make_picture, read_whole

NOISE = np.random.default_rng(5).integers(0, 256, (300, 260, 3), dtype=np.uint8)


def read_in_pieces(spec: ScaledSpec, step: tuple[int, int]):
    height, width = spec.size
    out = np.zeros((height, width, 3), np.uint8)
    with closing(spec.open()) as source:
        for y in range(0, height, step[0]):
            for x in range(0, width, step[1]):
                size = min(step[0], height - y), min(step[1], width - x)
                out[y : y + size[0], x : x + size[1]] = source.read(0, (y, x), size)
    return out


def check_equal_but_for_rounding(got, expected) -> None:
    difference = np.abs(got.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize(
    "size", [(300, 260), (150, 130), (97, 211), (17, 23), (1, 1), (450, 333), (301, 259), (150, 300)]
)
@pytest.mark.parametrize("step", [(1000, 1000), (64, 64), (43, 59)])
def test_however_it_is_cut_it_equals_the_whole_resized(size, step) -> None:
    check_equal_but_for_rounding(read_in_pieces(ScaledSpec(ArraySpec(NOISE), size), step), resize(NOISE, size))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_any_region_at_any_scale(data) -> None:
    height, width = data.draw(st.integers(1, 400)), data.draw(st.integers(1, 400))
    expected = resize(NOISE, (height, width))
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    size = data.draw(st.integers(1, height - y)), data.draw(st.integers(1, width - x))
    with closing(ScaledSpec(ArraySpec(NOISE), (height, width)).open()) as source:
        got = source.read(0, (y, x), size)
    assert np.abs(got.astype(int) - expected[y : y + size[0], x : x + size[1]].astype(int)).max() <= 1


@pytest.mark.parametrize("size", [(150, 130), (75, 65), (100, 52), (600, 520)])
def test_whole_scales_are_the_same_bit_for_bit(size) -> None:
    np.testing.assert_array_equal(read_in_pieces(ScaledSpec(ArraySpec(NOISE), size), (57, 83)), resize(NOISE, size))


def test_large_reads_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaled_source, "_LARGEST_READ", 2000)
    spec = ScaledSpec(ArraySpec(NOISE), (75, 65))
    check_equal_but_for_rounding(read_whole(spec.open()), resize(NOISE, (75, 65)))


def test_the_coarsest_level_that_is_as_fine_is_read(tmp_path) -> None:
    path = tmp_path / "a.tif"
    small = 255 - NOISE[::2, ::2]
    with tifffile.TiffWriter(path) as file:
        file.write(NOISE, tile=(64, 64), subifds=1)
        file.write(small, tile=(64, 64), subfiletype=1)
    for size, level in [((150, 130), small), ((75, 65), small), ((151, 130), NOISE), ((400, 300), NOISE)]:
        check_equal_but_for_rounding(read_whole(ScaledSpec(TiffSpec(path), size).open()), resize(level, size))


def test_levels_are_compared_on_both_axes() -> None:
    levels = tuple(ImageLevel(size) for size in [(400, 400), (200, 200), (100, 100)])
    sizes = [(400, 1), (201, 100), (200, 200), (101, 100), (100, 100), (5, 5), (500, 5)]
    assert [choose_level(levels, size) for size in sizes] == [0, 0, 1, 1, 2, 2, 0]


@pytest.mark.parametrize("channels", [1, 4])
def test_16_bit_and_transparency_become_8_bit_first(channels: int) -> None:
    pixels = make_picture(channels=channels, dtype=np.uint16)
    source = ScaledSpec(ArraySpec(pixels), (40, 50)).open()
    assert (source.dtype, source.channels) == (np.uint8, min(channels, 3))
    check_equal_but_for_rounding(read_whole(source), resize(to_image8(pixels), (40, 50)))


def test_chosen_bands_stay() -> None:
    pixels = make_picture(channels=5)
    spec = ScaledSpec(ArraySpec(pixels, bands=(4, 3, 2, 1)), (40, 50))
    assert spec.bands == (4, 3, 2, 1)
    source = spec.open()
    assert source.channels == 4
    check_equal_but_for_rounding(read_whole(source), resize(pixels[:, :, 3::-1], (40, 50)))


def test_scale_and_place(tmp_path) -> None:
    path = tmp_path / "a.tif"
    transform = rasterio.Affine(0.5, 0, 1000, 0, -0.5, 2000)
    profile = {"driver": "GTiff", "width": 260, "height": 300, "count": 3, "dtype": "uint8", "photometric": "rgb"}
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=transform) as dataset:
        dataset.write(NOISE.transpose(2, 0, 1))
    with closing(ScaledSpec(TiffSpec(path), (150, 65)).open()) as source:
        assert source.georeference.transform == (2.0, 0, 1000, 0, -1.0, 2000)
        assert source.microns_per_pixel is None
    tifffile.imwrite(path, NOISE, resolution=(40000, 40000), resolutionunit="CENTIMETER")
    with closing(ScaledSpec(TiffSpec(path), (150, 65)).open()) as source:
        assert source.microns_per_pixel == pytest.approx((0.5, 1.0))
        assert source.georeference is None


def test_names_identity_and_what_is_not_there() -> None:
    spec = ScaledSpec(ArraySpec(NOISE), (40, 50))
    assert spec.name == "ndarray (300, 260, 3) at 50x40"
    others = [ScaledSpec(ArraySpec(NOISE), (50, 40)), ScaledSpec(ArraySpec(255 - NOISE), (40, 50))]
    assert len({spec.identify(), *(other.identify() for other in others)}) == 3
    assert pickle.loads(pickle.dumps(spec)).identify() == spec.identify()
    with pytest.raises(ImageError, match="expected a size of at least 1x1, got 5x0"):
        ScaledSpec(ArraySpec(NOISE), (0, 5))
    source = spec.open()
    with pytest.raises(ImageError, match="expected level 0, the only one of a scaled image, got 1"):
        source.read(1, (0, 0), (1, 1))
    with pytest.raises(ImageError, match="expected a region inside an image of 50x40"):
        source.read(0, (0, 0), (41, 1))
    source.close()
