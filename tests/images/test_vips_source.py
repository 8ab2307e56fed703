from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullyconv.errors import ImageError
from fullyconv.images import opening, read_image
from fullyconv.images.opening import describe_source
from fullyconv.images.pixels import to_image8
from fullyconv.images.vips_source import VipsSpec
from pictures import check_regions, make_picture, read_by_pillow

RGBA = make_picture(channels=4)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_png(tmp_path: Path, mode: str) -> None:
    Image.fromarray(RGBA).convert(mode).save(tmp_path / "a.png")
    check_regions(VipsSpec(tmp_path / "a.png").open(), read_by_pillow(tmp_path / "a.png"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_as_read_image_reads_it(tmp_path: Path, mode: str) -> None:
    Image.fromarray(RGBA).convert(mode).save(tmp_path / "a.png")
    with closing(VipsSpec(tmp_path / "a.png").open()) as source:
        got = to_image8(source.read(0, (0, 0), (100, 120)))
    np.testing.assert_array_equal(got, read_image(tmp_path / "a.png"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpeg_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGBA[:, :, :3]).save(tmp_path / "a.jpg", exif=exif, quality=90)
    check_regions(VipsSpec(tmp_path / "a.jpg").open(), read_image(tmp_path / "a.jpg"))


def test_16_bit(tmp_path: Path) -> None:
    deep = make_picture(dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", deep, compression="zlib")
    source = VipsSpec(tmp_path / "a.tif").open()
    assert source.dtype == np.uint16
    check_regions(source, deep)
    check_regions(VipsSpec(tmp_path / "a.tif", bands=(3, 1)).open(), deep[:, :, [2, 0]])


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    for pixels in (RGBA, 255 - RGBA):
        Image.fromarray(pixels).save(tmp_path / "a.png")
        check_regions(VipsSpec(tmp_path / "a.png").open(), pixels)


def test_what_is_decoded_into_a_file_on_the_disc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPS_DISC_THRESHOLD", "1000")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    Image.fromarray(RGBA).save(tmp_path / "a.png")
    check_regions(VipsSpec(tmp_path / "a.png").open(), RGBA)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"], "it is deleted by itself"


def test_large_pictures_are_given_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RGBA).save(tmp_path / "a.png")
    monkeypatch.setattr(opening, "_HELD_PIXELS", 100)
    assert describe_source(tmp_path / "a.png") == VipsSpec(tmp_path / "a.png")


def test_large_strips_are_given_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fullyconv.images.tiff_source.HELD_BYTES", 2**14)
    pixels = RGBA[:, :, :3]
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression="zlib", rowsperstrip=100)
    spec = describe_source(tmp_path / "a.tif")
    assert spec == VipsSpec(tmp_path / "a.tif")
    check_regions(spec.open(), pixels)
    monkeypatch.setattr(opening, "_has", lambda module: False)
    with pytest.raises(ImageError, match="convert it: pip install"):
        describe_source(tmp_path / "a.tif")


def test_the_conversion_that_errors_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fullyconv.images.tiff_source import TiffSpec, suggest_conversion

    pixels = make_picture(600, 700)
    tifffile.imwrite(tmp_path / "it's.tif", pixels, compression="zlib", rowsperstrip=600)
    script = suggest_conversion(str(tmp_path / "it's.tif")).split(' -c "')[1].removesuffix('"')
    monkeypatch.chdir(tmp_path)
    exec(script, {})
    with closing(TiffSpec(tmp_path / "tiled.tif").open()) as source:
        assert len(source.levels) > 1
        np.testing.assert_array_equal(source.read(0, (0, 0), (600, 700)), pixels)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_damaged(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RGBA[:, :, :3]).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=rf"a\.{suffix}: the image cannot be read: [^\n]+$"):
        VipsSpec(path).open()


def test_what_it_cannot_give(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such image"):
        VipsSpec(tmp_path / "none.png").open()
    (tmp_path / "text.png").write_text("these are words")
    with pytest.raises(ImageError, match=r"text\.png: the image cannot be read: "):
        VipsSpec(tmp_path / "text.png").open()
    tifffile.imwrite(tmp_path / "float.tif", np.ones((9, 9), np.float32))
    with pytest.raises(ImageError, match="expected 8-bit or 16-bit values, got float"):
        VipsSpec(tmp_path / "float.tif").open()
    Image.fromarray(RGBA).convert("CMYK").save(tmp_path / "cmyk.jpg")
    with pytest.raises(ImageError, match="expected grey or RGB, got cmyk; convert it to RGB"):
        VipsSpec(tmp_path / "cmyk.jpg").open()
