from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fullyconv.errors import ImageError
from fullyconv.images import read_image
from fullyconv.images.pixels import to_image8
from fullyconv.images.tiff_source import TiffSpec
from pictures import check_regions, make_picture, read_by_pillow, read_whole

RGB, GREY, RGBA = make_picture(), make_picture(channels=1)[:, :, 0], make_picture(channels=4)
DEEP = make_picture(dtype=np.uint16)
TILED = {"tile": (32, 48)}
SPREAD = {
    "a.ome.tif": "00000000-0000-0000-0000-00000000000a",
    "b.ome.tif": "00000000-0000-0000-0000-00000000000b",
}


def write(tmp_path: Path, pixels, name: str = "image.tif", **options) -> Path:
    path = tmp_path / name
    whole = {key: options.pop(key) for key in ("bigtiff", "byteorder", "ome") if key in options}
    with tifffile.TiffWriter(path, **whole) as file:
        file.write(pixels, **options)
    return path


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (RGB, {}),
        (RGB, TILED),
        (RGB, {**TILED, "compression": "zlib", "predictor": True}),
        (RGB, {**TILED, "compression": "lzw"}),
        (RGB, {**TILED, "compression": "packbits", "bigtiff": True}),
        (RGB, {"rowsperstrip": 16, "compression": "zlib"}),
        (RGB, {"rowsperstrip": 7}),
        (GREY, {**TILED, "compression": "lzw", "predictor": True}),
        (GREY, {"photometric": "miniswhite", **TILED}),
        (RGBA, {**TILED, "extrasamples": ["unassalpha"]}),
        (np.moveaxis(RGB, 2, 0), {"planarconfig": "separate", "photometric": "rgb", **TILED, "compression": "zlib"}),
        (np.moveaxis(RGB, 2, 0), {"planarconfig": "separate", "photometric": "rgb", "rowsperstrip": 9}),
    ],
)
def test_as_pillow_reads_it(tmp_path: Path, pixels, options) -> None:
    path = write(tmp_path, pixels, **options)
    check_regions(TiffSpec(path).open(), read_by_pillow(path))


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_jpeg_in_tiles(tmp_path: Path, subsampling) -> None:
    path = write(tmp_path, RGB, **TILED, compression="jpeg", subsampling=subsampling)
    check_regions(TiffSpec(path).open(), read_by_pillow(path), atol=1)
    grey = write(tmp_path, GREY, "grey.tif", **TILED, compression="jpeg")
    check_regions(TiffSpec(grey).open(), read_by_pillow(grey), atol=1)


def test_jpeg_with_tables_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "tables.tif"
    Image.fromarray(RGB).save(path, compression="jpeg", quality=90)
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.jpegtables is not None
    check_regions(TiffSpec(path).open(), read_by_pillow(path), atol=1)


@pytest.mark.parametrize("options", [{}, TILED, {**TILED, "compression": "zstd", "predictor": True}])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_16_bit(tmp_path: Path, options, byteorder: str) -> None:
    source = TiffSpec(write(tmp_path, DEEP, byteorder=byteorder, **options)).open()
    assert source.dtype == np.uint16
    check_regions(source, DEEP)


def test_16_bit_where_white_is_zero(tmp_path: Path) -> None:
    source = TiffSpec(write(tmp_path, DEEP[:, :, 0], photometric="miniswhite")).open()
    check_regions(source, 65535 - DEEP[:, :, :1])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_as_read_image_reads_it(tmp_path: Path, mode: str, compression: str) -> None:
    picture = Image.fromarray(DEEP[:, :, 0]) if mode == "I;16" else Image.fromarray(RGBA).convert(mode)
    path = tmp_path / "image.tif"
    picture.save(path, compression=compression)
    np.testing.assert_array_equal(to_image8(read_whole(TiffSpec(path).open())), read_image(path))


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_are_spread_over_all(tmp_path: Path, bits: int) -> None:
    values = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2**bits
    path = write(tmp_path, values, bitspersample=bits, photometric="minisblack")
    got = read_whole(TiffSpec(path).open())
    np.testing.assert_array_equal(got[:, :, 0], values * (255 // (2**bits - 1)))


def test_premultiplied_transparency(tmp_path: Path) -> None:
    alpha = np.array([0, 51, 255], np.uint8)
    straight = np.array([[[0, 0, 0, 0], [200, 100, 0, 51], [200, 100, 0, 255]]], np.uint8)
    stored = straight.copy()
    stored[0, :, :3] = (straight[0, :, :3].astype(int) * alpha[:, None] + 127) // 255
    path = write(tmp_path, stored, photometric="rgb", extrasamples=["assocalpha"])
    np.testing.assert_allclose(read_whole(TiffSpec(path).open()), straight, atol=3)


def test_colours_that_are_neither_jpeg_nor_rgb(tmp_path: Path) -> None:
    values = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
    path = write(tmp_path, values, photometric="ycbcr", subsampling=(1, 1), **TILED)
    check_regions(TiffSpec(path).open(), np.asarray(Image.fromarray(values, "YCbCr").convert("RGB")))


def write_pyramid(path: Path, *, subifds: bool, **options) -> list[np.ndarray]:
    levels = [RGB, RGB[::2, ::2], RGB[::4, ::4]]
    with tifffile.TiffWriter(path, **options) as file:
        file.write(levels[0], **TILED, subifds=2 if subifds else None, metadata={"axes": "YXS"})
        for level in levels[1:]:
            file.write(level, **TILED, subfiletype=1, metadata=None)
    return levels


@pytest.mark.parametrize("options", [{}, {"ome": True}, {"bigtiff": True}])
def test_levels_below_the_image(tmp_path: Path, options) -> None:
    levels = write_pyramid(tmp_path / "a.tif", subifds=True, **options)
    source = TiffSpec(tmp_path / "a.tif").open()
    assert [level.downsample for level in source.levels] == [(1, 1), (2, 2), (4, 4)]
    check_regions(source, *levels)


def test_levels_beside_the_image(tmp_path: Path) -> None:
    levels = write_pyramid(tmp_path / "a.tif", subifds=False)
    check_regions(TiffSpec(tmp_path / "a.tif").open(), *levels)


def test_a_page_that_happens_to_be_half_as_large_is_no_level(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(RGB, metadata=None)
        file.write(255 - RGB[::2, ::2], metadata=None)
    check_regions(TiffSpec(tmp_path / "a.tif").open(), RGB)


def test_the_first_of_several_pages_and_the_largest_of_several_images(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(RGB[:40, :50], metadata=None)
        file.write(RGB, metadata=None)
        file.write(255 - RGB, metadata=None)
    check_regions(TiffSpec(tmp_path / "a.tif").open(), RGB)


def test_bands_in_one_page(tmp_path: Path) -> None:
    pixels = make_picture(channels=6)
    path = write(tmp_path, pixels, **TILED, photometric="minisblack", planarconfig="contig", compression="zlib")
    check_regions(TiffSpec(path, bands=(4, 1, 6)).open(), pixels[:, :, [3, 0, 5]])
    with pytest.raises(ImageError, match=r"expected grey or colour, got 6 bands.*bands=\(3, 2, 1\)"):
        TiffSpec(path).open()
    with pytest.raises(ImageError, match="expected bands from 1 to 6, got 7, 1; choose among these"):
        TiffSpec(path, bands=(7, 1)).open()
    with pytest.raises(ImageError, match="expected bands from 1 to 6, got none"):
        TiffSpec(path, bands=()).open()


def test_bands_in_pages_of_their_own(tmp_path: Path) -> None:
    pixels = make_picture(channels=5, dtype=np.uint16)
    path = write(
        tmp_path, np.moveaxis(pixels, 2, 0), ome=True, **TILED, photometric="minisblack", metadata={"axes": "CYX"}
    )
    check_regions(TiffSpec(path, bands=(5, 2)).open(), pixels[:, :, [4, 1]])


def test_bands_of_what_must_be_converted(tmp_path: Path) -> None:
    path = tmp_path / "palette.tif"
    Image.fromarray(RGB).convert("P").save(path)
    check_regions(TiffSpec(path, bands=(3,)).open(), read_by_pillow(path, "RGB")[:, :, 2:])


def test_bands_that_are_spread_over_files_are_refused(tmp_path: Path) -> None:
    data = "".join(
        f'<TiffData IFD="0" FirstC="{band}" FirstZ="0" FirstT="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{identity}</UUID></TiffData>'
        for band, (name, identity) in enumerate(SPREAD.items())
    )
    for name, identity in SPREAD.items():
        text = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{identity}">'
            '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="120" SizeY="100" '
            f'SizeC="2" SizeZ="1" SizeT="1"><Channel ID="Channel:0:0"/>{data}</Pixels></Image></OME>'
        )
        write(tmp_path, GREY, name, description=text, metadata=None)
    with pytest.raises(ImageError, match="expected one file, got an image that is spread over several"):
        TiffSpec(tmp_path / "a.ome.tif", bands=(1, 2)).open()
    (tmp_path / "b.ome.tif").unlink()
    with pytest.raises(ImageError, match="expected 2 bands, got 1; put the files with the others beside it"):
        TiffSpec(tmp_path / "a.ome.tif", bands=(1, 2)).open()


def test_a_stack_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path, np.zeros((4, 20, 20), np.uint8), ome=True, photometric="minisblack", metadata={"axes": "ZYX"}
    )
    with pytest.raises(ImageError, match="expected one plane, got 4 along Z; save the plane"):
        TiffSpec(path).open()


@pytest.mark.parametrize(
    ("pixels", "options", "message"),
    [
        (np.zeros((9, 9), np.float32), {}, "expected 8-bit or 16-bit values, got 32-bit"),
        (np.zeros((9, 9), np.int16), {}, r"expected 8-bit or 16-bit values, got 16-bit \(int16\)"),
        (np.zeros((9, 9), np.uint16), {"bitspersample": 12}, "got 12-bit"),
        (np.zeros((9, 9, 3), np.uint8), {"photometric": "cielab"}, "expected grey, RGB or a palette, got 8-bit CIELAB"),
    ],
)
def test_values_that_have_no_8_bit_form(tmp_path: Path, pixels, options, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        TiffSpec(write(tmp_path, pixels, **options)).open()


def test_one_large_strip_is_refused_with_the_command_that_helps(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("fullyconv.images.tiff_source.HELD_BYTES", 2**15)
    whole = write(tmp_path, RGB, "whole.tif", compression="zlib", rowsperstrip=100)
    with pytest.raises(ImageError, match=r"so that no part can be read by itself; convert it: pip install .*tile=True"):
        TiffSpec(whole).open()
    check_regions(TiffSpec(write(tmp_path, RGB, "plain.tif", rowsperstrip=100)).open(), RGB)
    check_regions(TiffSpec(write(tmp_path, RGB, "strips.tif", compression="zlib", rowsperstrip=50)).open(), RGB)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_as_read_image_turns_it(tmp_path: Path, orientation: int) -> None:
    path = write(tmp_path, RGB, **TILED, compression="zlib", extratags=[(274, 3, 1, orientation, True)])
    check_regions(TiffSpec(path).open(), read_image(path))


SETTINGS = settings(max_examples=30, deadline=None, derandomize=True)


@SETTINGS
@given(st.data())
def test_any_region_of_any_cut(tmp_path_factory, data) -> None:
    height, width = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    pixels = make_picture(height, width, channels=data.draw(st.sampled_from([1, 3])))
    cut = data.draw(st.sampled_from([{"tile": (16, 32)}, {"tile": (48, 16)}, {"rowsperstrip": 11}, {}]))
    compression = data.draw(st.sampled_from([None, "zlib", "lzw"]))
    options = {"photometric": "rgb"} if pixels.shape[2] == 3 else {"photometric": "minisblack"}
    stored = pixels if pixels.shape[2] == 3 else pixels[:, :, 0]
    path = write(tmp_path_factory.mktemp("cut"), stored, **cut, compression=compression, **options)
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    size = data.draw(st.integers(1, height - y)), data.draw(st.integers(1, width - x))
    with closing(TiffSpec(path).open()) as source:
        np.testing.assert_array_equal(source.read(0, (y, x), size), pixels[y : y + size[0], x : x + size[1]])
