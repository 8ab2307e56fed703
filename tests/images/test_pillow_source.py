from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fullyconv.errors import ImageError
from fullyconv.images import pillow_source, read_image
from fullyconv.images.opening import describe_source
from fullyconv.images.pillow_source import PillowSpec
from pictures import check_regions, make_picture

RGBA = make_picture(channels=4)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("1", "png"), ("L", "png"), ("P", "gif"), ("RGB", "bmp"), ("RGBA", "png"), ("LA", "png"), ("CMYK", "jpg"),
     ("RGB", "webp"), ("L", "jpg")],
)  # fmt: skip
def test_as_read_image_reads_it(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    Image.fromarray(RGBA).convert(mode).save(path)
    spec = describe_source(path)
    assert isinstance(spec, PillowSpec)
    check_regions(spec.open(), read_image(path))


def test_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGBA[:, :, :3]).save(tmp_path / "a.png", exif=exif)
    check_regions(describe_source(tmp_path / "a.png").open(), np.rot90(RGBA[:, :, :3], -1))


def test_16_bit_becomes_8_bit(tmp_path: Path) -> None:
    deep = make_picture(dtype=np.uint16)[:, :, 0]
    Image.fromarray(deep).save(tmp_path / "a.png")
    check_regions(describe_source(tmp_path / "a.png").open(), np.round(deep[:, :, None] / 257).astype(int))


def test_bands(tmp_path: Path) -> None:
    Image.fromarray(RGBA[:, :, :3]).save(tmp_path / "a.png")
    check_regions(describe_source(tmp_path / "a.png", bands=(3, 1)).open(), RGBA[:, :, [2, 0]])
    with pytest.raises(ImageError, match=r"a\.png: expected bands from 1 to 3, got 4"):
        describe_source(tmp_path / "a.png", bands=(4,)).open()


def test_too_large_to_be_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RGBA[:, :, :3]).save(tmp_path / "a.png")
    monkeypatch.setattr(pillow_source, "LARGEST_PIXELS", 100)
    with pytest.raises(ImageError, match=r"expected at most 100 pixels .*got 120x100; install .*fullyconv\[vips\]"):
        PillowSpec(tmp_path / "a.png").open()


def test_damaged_or_none(tmp_path: Path) -> None:
    Image.fromarray(RGBA).save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:-500])
    with pytest.raises(ImageError, match=r"a\.png: the image cannot be read: "):
        PillowSpec(tmp_path / "a.png").open()
    with pytest.raises(ImageError, match="no such image"):
        PillowSpec(tmp_path / "b.png").open()
