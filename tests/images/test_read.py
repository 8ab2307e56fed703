import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fullyconv.errors import ImageError
from fullyconv.images import read, read_image
from fullyconv.images.read import read_size

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)


def save(tmp_path: Path, picture: Image.Image, name: str = "picture.png", **options: object) -> Path:
    path = tmp_path / name
    picture.save(path, **options)
    return path


def test_colour_and_grey(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_image(save(tmp_path, Image.fromarray(RGB))), RGB)
    grey = RGB[:, :, 0].copy()
    got = read_image(str(save(tmp_path, Image.fromarray(grey), "grey.bmp")))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, grey[:, :, None])


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_colour_spaces_become_rgb(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray(RGB)
    if mode == "LAB":
        picture = Image.fromarray(np.zeros((9, 14, 3), np.uint8), mode="RGB")
        picture = Image.merge("LAB", picture.split())
    else:
        picture = picture.convert(mode)
    got = read_image(save(tmp_path, picture, "picture.tif"))
    assert got.shape == (9, 14, 3)


def test_black_and_white_becomes_grey(tmp_path: Path) -> None:
    got = read_image(save(tmp_path, Image.fromarray(RGB[:, :, 0] > 99)))
    np.testing.assert_array_equal(got[:, :, 0], np.where(RGB[:, :, 0] > 99, 255, 0))


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    pixels = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], dtype=np.uint8)
    got = read_image(save(tmp_path, Image.fromarray(pixels)))
    np.testing.assert_array_equal(got[0, :2], [[200, 100, 0], [255, 255, 255]])
    np.testing.assert_allclose(got[0, 2], [244, 224, 204], atol=1)


def test_grey_transparency_stays_grey(tmp_path: Path) -> None:
    pixels = np.array([[[10, 255], [10, 0]]], dtype=np.uint8)
    np.testing.assert_array_equal(read_image(save(tmp_path, Image.fromarray(pixels)))[0], [[10], [255]])


def test_palette_and_its_transparency(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putdata([0, 1])
    opaque = read_image(save(tmp_path, picture))
    np.testing.assert_array_equal(opaque[0], [[255, 0, 0], [0, 0, 255]])
    clear = read_image(save(tmp_path, picture, "clear.png", transparency=bytes([0, 255])))
    np.testing.assert_array_equal(clear[0], [[255, 255, 255], [0, 0, 255]])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_by_the_full_range(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 257 * 100, 65535]], dtype=np.uint16)
    got = read_image(save(tmp_path, Image.fromarray(values), f"deep.{suffix}"))
    np.testing.assert_array_equal(got[0, :, 0], [0, 0, 1, 100, 255])


def test_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    got = read_image(save(tmp_path, Image.fromarray(RGB), exif=exif))
    np.testing.assert_array_equal(got, np.rot90(RGB, -1))


def test_damaged_notes_do_not_cost_the_picture(tmp_path: Path) -> None:
    path = save(tmp_path, Image.fromarray(RGB), "picture.jpg", exif=b"Exif\x00\x00garbage that is no header")
    assert read_image(path).shape == RGB.shape


def test_first_frame_of_several(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (10, 20)]
    path = save(tmp_path, frames[0], "pages.tif", save_all=True, append_images=frames[1:])
    assert read_image(path).max() == 10


def test_larger_than_pillow_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_image(save(tmp_path, Image.fromarray(RGB))).shape == RGB.shape
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 50000, 8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b""))
    with pytest.raises(ImageError, match=r"expected at most 1073741824 pixels, got 60000x50000; cut it"):
        read_image(path)


def test_missing_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.png: no such image"):
        read_image(tmp_path / "none.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png: expected an image, got an empty file"):
        read_image(tmp_path / "empty.png")
    with pytest.raises(ImageError, match="expected an image file, got a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "gif", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated(tmp_path: Path, suffix: str, share: float) -> None:
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = save(tmp_path, Image.fromarray(noise), f"whole.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ImageError, match=rf"cut\.{suffix}: the image cannot be read: [^\n]+$"):
        read_image(path)


def test_not_an_image(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("these are words")
    with pytest.raises(ImageError, match="it is not an image, or of a kind that is not known"):
        read_image(path)


def test_values_that_have_no_honest_8_bit_form(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected 8-bit or 16-bit values, got floating point"):
        read_image(save(tmp_path, Image.fromarray(np.ones((3, 3), np.float32)), "float.tif"))
    wide = Image.fromarray(np.array([[0, 70000]], np.int32))
    with pytest.raises(ImageError, match="expected 8-bit or 16-bit values, got 0 to 70000"):
        read_image(save(tmp_path, wide, "wide.tif"))


def test_too_large_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    path = save(tmp_path, Image.fromarray(RGB))
    monkeypatch.setattr(read, "_convert", fail)
    with pytest.raises(ImageError, match="does not fit into memory"):
        read_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_known_without_reading(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, Image.fromarray(RGB), "turned.jpg", exif=exif)
    assert read_size(path) == read_image(path).shape[:2]


def test_a_size_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(ImageError, match="it is not an image"):
        read_size(tmp_path / "a.png")
    with pytest.raises(ImageError, match="no such image"):
        read_size(tmp_path / "b.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planes_apart_are_read_right_or_not_at_all(tmp_path: Path, dtype: type) -> None:
    """Pillow reads those of 16 bits without a word, and wrong."""
    path, factor = tmp_path / "planes.tif", 257 if dtype is np.uint16 else 1
    planes = RGB.transpose(2, 0, 1).astype(dtype) * dtype(factor)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    if dtype is np.uint8:
        np.testing.assert_array_equal(read_image(path), RGB)
        return
    for read_part in (read_image, read_size):
        with pytest.raises(ImageError, match=r"planes\.tif: expected 16-bit colours pixel by pixel, got planes apart"):
            read_part(path)
