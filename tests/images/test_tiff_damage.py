"""Damaged files: the damaged part fails by name, the rest is read; nothing is made up."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fullyconv.errors import ImageError, RegionError
from fullyconv.images import tiff_segments
from fullyconv.images.tiff_source import TiffSpec
from pictures import make_picture

PIXELS = make_picture(128, 128)
COMPRESSIONS = ["jpeg", "zlib", "lzw", "zstd", "webp", "jpeg2000"]


def write(tmp_path: Path, compression: str | None = "zlib", **options) -> Path:
    path = tmp_path / "damaged.tif"
    cut = {} if "rowsperstrip" in options else {"tile": (64, 64)}
    tifffile.imwrite(path, PIXELS, compression=compression, photometric="rgb", **cut, **options)
    return path


def find_segment(path: Path, index: int) -> tuple[int, int]:
    with tifffile.TiffFile(path) as file:
        return file.pages.first.dataoffsets[index], file.pages.first.databytecounts[index]


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def change_table(path: Path, name: str, index: int, value: int) -> None:
    """Changes one entry of the table of offsets or of byte counts."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages.first.tags[name]
        values = list(tag.value)
        values[index] = value
        tag.overwrite(values)


def check_only_the_last_fails(path: Path, message: str) -> None:
    """The tile at the lower right fails, with its place and the cause; the three others are as they were."""
    with closing(TiffSpec(path).open()) as source:
        with pytest.raises(RegionError, match=message) as caught:
            source.read(0, (70, 80), (20, 30))
        assert "damaged.tif: the region 30x20 from x=80, y=70 of level 0 cannot be read: " in str(caught.value)
        assert "\n" not in str(caught.value)
        with pytest.raises(RegionError, match=message):
            source.read(0, (0, 0), (128, 128))
        with tifffile.TiffFile(path) as file:
            tile = next(file.pages.first.segments(maxworkers=1))[0][0]
        np.testing.assert_array_equal(source.read(0, (0, 0), (64, 64)), tile)
        source.read(0, (0, 64), (64, 64))
        source.read(0, (64, 0), (64, 64))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_overwritten_tile(tmp_path: Path, compression: str) -> None:
    path = write(tmp_path, compression)
    offset, count = find_segment(path, 3)
    overwrite(path, offset, bytes(count))
    check_only_the_last_fails(path, r"tile 3 \(x=64, y=64; [A-Z_0-9]+\): [^ ]+")


@pytest.mark.parametrize("compression", ["jpeg", "zlib", "lzw", "zstd", "webp", "jpeg2000"])
def test_tile_that_is_cut_off(tmp_path: Path, compression: str) -> None:
    path = write(tmp_path, compression)
    change_table(path, "TileByteCounts", 3, find_segment(path, 3)[1] // 2)
    check_only_the_last_fails(path, r"tile 3 \(x=64, y=64; ")


def test_jpeg_that_has_no_end_would_be_filled_with_grey(tmp_path: Path) -> None:
    path = write(tmp_path, "jpeg")
    change_table(path, "TileByteCounts", 3, find_segment(path, 3)[1] // 2)
    check_only_the_last_fails(path, "its JPEG data has no end")


@pytest.mark.parametrize("compression", [None, *COMPRESSIONS])
def test_offset_past_the_end(tmp_path: Path, compression: str | None) -> None:
    path = write(tmp_path, compression)
    count = find_segment(path, 3)[1]
    change_table(path, "TileOffsets", 3, path.stat().st_size + 99)
    check_only_the_last_fails(path, rf"tile 3 .*expected {count} bytes at \d+, got 0: the file is too short")


@pytest.mark.parametrize("compression", [None, *COMPRESSIONS])
def test_truncated_file(tmp_path: Path, compression: str | None) -> None:
    path = write(tmp_path, compression)
    offset, count = find_segment(path, 3)
    assert offset + count == path.stat().st_size, "the last tile is at the end"
    with path.open("r+b") as file:
        file.truncate(offset + count // 2)
    check_only_the_last_fails(path, rf"tile 3 .*expected {count} bytes at {offset}, got {count // 2}")


def test_a_length_that_no_memory_holds(tmp_path: Path) -> None:
    path = write(tmp_path, bigtiff=True)
    change_table(path, "TileByteCounts", 3, 2**31)
    check_only_the_last_fails(path, "tile 3 .*expected 2147483648 bytes at .* the file is too short")


def test_tile_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path)
    change_table(path, "TileByteCounts", 3, 0)
    change_table(path, "TileOffsets", 3, 0)
    check_only_the_last_fails(path, "tile 3 .*: it is missing from the file")


def test_tile_of_another_size(tmp_path: Path) -> None:
    path = write(tmp_path, "lzw")
    smaller = tmp_path / "smaller.tif"
    tifffile.imwrite(smaller, PIXELS[:32, :32], compression="lzw", tile=(32, 32), photometric="rgb")
    offset, count = find_segment(smaller, 0)
    data = smaller.read_bytes()[offset : offset + count]
    overwrite(path, find_segment(path, 3)[0], data)
    change_table(path, "TileByteCounts", 3, count)
    check_only_the_last_fails(path, r"tile 3 .*corrupted tile")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_strips(tmp_path: Path, compression: str | None) -> None:
    path = write(tmp_path, compression, rowsperstrip=32)
    offset, count = find_segment(path, 3)
    with path.open("r+b") as file:
        file.truncate(offset + count // 2)
    with closing(TiffSpec(path).open()) as source:
        np.testing.assert_array_equal(source.read(0, (0, 0), (96, 128)), PIXELS[:96])
        with pytest.raises(RegionError, match=r"strip 3.*: expected \d+ bytes at \d+, got \d+"):
            source.read(0, (100, 0), (28, 128))


def test_plain_strips_that_are_missing_or_short(tmp_path: Path) -> None:
    path = write(tmp_path, None, rowsperstrip=32)
    change_table(path, "StripByteCounts", 2, 99)
    change_table(path, "StripOffsets", 3, 0)
    with closing(TiffSpec(path).open()) as source:
        with pytest.raises(RegionError, match="strip 3: it is missing from the file"):
            source.read(0, (100, 0), (2, 2))
        with pytest.raises(RegionError, match=r"strip 2: expected at least 390 bytes, got 99"):
            source.read(0, (65, 0), (1, 2))


def test_a_damaged_level_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "levels.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(PIXELS, tile=(64, 64), compression="zlib", subifds=1)
        file.write(PIXELS[::2, ::2], tile=(64, 64), compression="zlib", subfiletype=1)
    offset, count = find_segment(path, 0)
    overwrite(path, offset, bytes(count))
    with closing(TiffSpec(path).open()) as source:
        np.testing.assert_array_equal(source.read(1, (0, 0), (64, 64)), PIXELS[::2, ::2])
        with pytest.raises(RegionError, match="of level 0 cannot be read: tile 0"):
            source.read(0, (0, 0), (9, 9))


@pytest.mark.parametrize("length", [4, 8, 40, 200])
def test_damaged_directory(tmp_path: Path, length: int) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ImageError, match=r"damaged\.tif: [^\n]+$"):
        TiffSpec(path).open()


def test_not_there_or_no_tiff(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.tif: no such image"):
        TiffSpec(tmp_path / "none.tif").open()
    (tmp_path / "text.tif").write_text("these are words")
    with pytest.raises(ImageError, match=r"text\.tif: the TIFF file cannot be read: not a TIFF file"):
        TiffSpec(tmp_path / "text.tif").open()


def test_a_directory_without_an_image(tmp_path: Path) -> None:
    (tmp_path / "none.tif").write_bytes(b"II*\0" + bytes(4))
    with pytest.raises(ImageError, match=r"none\.tif: expected an image, got a TIFF file without one"):
        TiffSpec(tmp_path / "none.tif").open()


def test_decoded_tiles_are_held_up_to_a_limit() -> None:
    cache = tiff_segments.SegmentCache(capacity_bytes=250)
    for index in range(3):
        cache.put((0, index), np.full((10, 10, 1), index, np.uint8))
    assert cache.get((0, 0)) is None
    assert [cache.get((0, index))[0, 0, 0] for index in (1, 2)] == [1, 2]
    cache.get((0, 1))
    cache.put((0, 3), np.zeros((10, 10, 1), np.uint8))
    assert cache.get((0, 2)) is None, "the one used longest ago goes first"
    assert cache.get((0, 1)) is not None
    cache.clear()
    assert cache.get((0, 1)) is None
