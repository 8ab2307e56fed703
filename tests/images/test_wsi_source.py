from contextlib import closing
from pathlib import Path

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from fullyconv.errors import ImageError, RegionError
from fullyconv.images import wsi_source
from fullyconv.images.opening import describe_source
from fullyconv.images.tiff_source import TiffSpec
from fullyconv.images.wsi_source import WsiSpec
from pictures import check_regions, make_picture, read_whole

RGB = make_picture(256, 256)
APERIO = "Aperio Image Library v11.2.1\r\n256x256 [0,0 256x256] (64x64)|AppMag = 20|MPP = 0.4990"


def write_slide(path: Path, levels, **options) -> Path:
    """A slide as Aperio's scanners write it: the image, a thumbnail, smaller levels, all in tiles."""
    options = {"tile": (64, 64), "compression": "jpeg", "metadata": None} | options
    with tifffile.TiffWriter(path) as file:
        file.write(levels[0], description=APERIO, **options)
        file.write(levels[-1], description=APERIO, metadata=None)
        for level in levels[1:]:
            file.write(level, description=APERIO, **options)
    return path


@pytest.mark.parametrize("spec", [WsiSpec, TiffSpec])
def test_slides_as_openslide_has_them(tmp_path: Path, spec) -> None:
    path = write_slide(tmp_path / "a.svs", [RGB, RGB[::4, ::4]])
    source = spec(path).open()
    assert source.microns_per_pixel == (0.499, 0.499)
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        levels = [
            np.asarray(slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB"))
            for level in range(slide.level_count)
        ]
    assert len(levels) == 2
    check_regions(source, *levels, atol=1 if spec is TiffSpec else 0)


@pytest.mark.parametrize(("compression", "mode"), [(33003, "YCbCr"), (33005, "RGB")])
def test_jpeg_2000_of_both_colour_spaces(tmp_path: Path, compression: int, mode: str) -> None:
    stored = np.asarray(Image.fromarray(RGB).convert(mode))
    tiles = (
        imagecodecs.jpeg2k_encode(stored[y : y + 64, x : x + 64].copy(), level=0, codecformat="j2k", mct=False)
        for y in range(0, 256, 64)
        for x in range(0, 256, 64)
    )
    path = tmp_path / "a.svs"
    options = {"shape": RGB.shape, "dtype": RGB.dtype, "tile": (64, 64), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(tiles, compression=compression, description=APERIO, **options)
    expected = read_whole(WsiSpec(path).open())
    assert np.abs(expected.astype(int) - RGB).max() <= 3
    check_regions(TiffSpec(path).open(), expected, atol=2)


@pytest.mark.parametrize("spec", [WsiSpec, TiffSpec])
def test_levels_that_are_no_whole_part(tmp_path: Path, spec) -> None:
    full = make_picture(250, 203)
    levels = [full, make_picture(62, 50, seed=4)]
    check_regions(spec(write_slide(tmp_path / "a.svs", levels, compression="deflate")).open(), *levels)


def test_between_pixels_the_values_do_not_depend_on_the_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsi_source, "BLOCK_PX", 16)
    levels = [make_picture(250, 203), make_picture(62, 50, seed=4)]
    path = write_slide(tmp_path / "a.svs", levels, compression="deflate")
    got = read_whole(WsiSpec(path).open(), 1)
    check_regions(WsiSpec(path).open(), levels[0], got)
    slope = np.abs(np.diff(levels[1].astype(int), axis=0)).max() + np.abs(np.diff(levels[1].astype(int), axis=1)).max()
    assert np.abs(got.astype(int) - levels[1]).max() <= slope, "within a pixel of where it is stored"


def test_generic_tiles(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, tile=(64, 64), compression="zlib", photometric="rgb")
    source = WsiSpec(path).open()
    assert source.microns_per_pixel is None
    check_regions(source, RGB)
    check_regions(WsiSpec(path, bands=(3,)).open(), RGB[:, :, 2:])


def test_the_core_reads_slides_that_are_tiff(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.svs", [RGB, RGB[::4, ::4]])
    assert describe_source(path) == TiffSpec(path)


def test_identity_includes_the_folder_beside(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.svs", [RGB])
    alone = WsiSpec(path).identify()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"pixels")
    assert WsiSpec(path).identify() != alone


def test_damage(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.svs", [RGB], compression="deflate")
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages.first.dataoffsets[15], file.pages.first.databytecounts[15]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(count))
    message = r"a\.svs: the region 9x9 from x=200, y=210 of level 0 cannot be read: ."
    with closing(WsiSpec(path).open()) as source, pytest.raises(RegionError, match=message):
        source.read(0, (210, 200), (9, 9))


def test_what_is_no_slide(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_text("these are words")
    with pytest.raises(ImageError, match=r"a\.mrxs: the slide cannot be read: it is no slide of a kind that OpenSlide"):
        describe_source(tmp_path / "a.mrxs")
    with pytest.raises(ImageError, match="no such image"):
        WsiSpec(tmp_path / "none.mrxs").open()
    path = tmp_path / "b.tif"
    tifffile.imwrite(path, RGB, tile=(64, 64), photometric="rgb")
    with pytest.raises(ImageError, match="expected bands from 1 to 3, got 4"):
        WsiSpec(path, bands=(4,)).open()
