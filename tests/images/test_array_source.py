import pickle
from contextlib import closing

import dask.array
import numpy as np
import pytest
import zarr

from fullyconv.errors import ImageError, RegionError
from fullyconv.images.array_source import ArraySpec
from fullyconv.images.opening import describe_source
from fullyconv.images.source import SourceSpec
from pictures import check_regions, make_picture

RGB = make_picture()


@pytest.mark.parametrize("make", [np.asarray, dask.array.from_array, zarr.array], ids=["numpy", "dask", "zarr"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_regions(make, dtype, channels: int) -> None:
    pixels = make_picture(channels=max(1, channels), dtype=dtype)
    spec = describe_source(make(pixels if channels else pixels[:, :, 0]))
    assert isinstance(spec, ArraySpec | SourceSpec)
    source = spec.open()
    assert (source.dtype, source.channels) == (np.dtype(dtype), max(1, channels))
    assert source.microns_per_pixel is None and source.georeference is None
    check_regions(source, pixels)


def test_bands_true_and_false_and_byte_order() -> None:
    pixels = make_picture(channels=5, dtype=np.uint16)
    check_regions(ArraySpec(pixels.astype(">u2"), bands=(5, 1)).open(), pixels[:, :, [4, 0]])
    check_regions(ArraySpec(RGB[:, :, 0] > 99).open(), np.where(RGB[:, :, :1] > 99, 255, 0))


def test_the_array_itself_is_never_handed_out() -> None:
    array = RGB.copy()
    with closing(ArraySpec(array).open()) as source:
        source.read(0, (0, 0), (9, 9))[:] = 0
    np.testing.assert_array_equal(array, RGB)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4, 5), np.uint8), r"expected an array \(height, width\) or \(height, width, channels\), got"),
        (np.zeros((0, 3), np.uint8), r"got \(0, 3\)"),
        (np.zeros((5, 5), np.float32), "expected 8-bit or 16-bit values, got float32; convert it to uint8 or uint16"),
        (np.zeros((5, 5, 2), np.uint8), "expected grey or colour, got 2 bands"),
    ],
)
def test_what_is_no_image(array, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        describe_source(array)


def test_regions_levels_and_closed_sources_are_checked() -> None:
    source = ArraySpec(RGB).open()
    with pytest.raises(ImageError, match="expected a region inside an image of 120x100"):
        source.read(0, (90, 0), (11, 5))
    with pytest.raises(ImageError, match="expected a level from 0 to 0, got 1"):
        source.read(1, (0, 0), (1, 1))
    source.close()
    source.close()
    with pytest.raises(ImageError, match="expected an open image, got a closed one"):
        source.read(0, (0, 0), (1, 1))


def fail(block):
    raise OSError(5, "Input/output error")


def test_an_array_that_cannot_be_computed() -> None:
    broken = dask.array.from_array(RGB).map_blocks(fail, dtype=np.uint8, meta=RGB[:0])
    with closing(ArraySpec(broken).open()) as source, pytest.raises(RegionError, match="cannot be read: input/output"):
        source.read(0, (0, 0), (5, 5))


@pytest.mark.parametrize("make", [np.asarray, dask.array.from_array, zarr.array], ids=["numpy", "dask", "zarr"])
def test_identity_is_of_the_values(make) -> None:
    changed = RGB.copy()
    changed[-1, -1] ^= 1
    specs = [ArraySpec(make(pixels)) for pixels in (RGB, RGB.copy(), changed)]
    assert specs[0].identify() == specs[1].identify() != specs[2].identify()
    assert ArraySpec(RGB[:, :60]).identify() != ArraySpec(RGB.reshape(50, 240, 3)[:, :120]).identify()
    if not isinstance(specs[0].array, zarr.Array):  # this one is in memory, which zarr does not pickle
        assert pickle.loads(pickle.dumps(specs[0])).identify() == specs[0].identify()
    assert specs[0].name.endswith("(100, 120, 3)")
