from pathlib import Path

import pytest

from fullyconv.errors import ImageError
from fullyconv.images import find_images, read_image


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_folder_in_natural_order_with_what_lies_below(tmp_path: Path) -> None:
    for name in ["a10.png", "a2.PNG", "notes.txt", "sub/b.tif", ".hidden.png", ".cache/c.png"]:
        touch(tmp_path / name)
    names = [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])]
    assert names == ["a2.PNG", "a10.png", "sub/b.tif"]


def test_slides_maps_and_zarr_folders_as_one_image(tmp_path: Path) -> None:
    for name in [
        "a.svs",
        "b.NDPI",
        "c.mrxs",
        "d.ome.tif",
        "e.jp2",
        "g/zarr.json",
        "g/c/0.png",
        "h.zarr/.zarray",
        "i/j.txt",
    ]:
        touch(tmp_path / name)
    names = [path.relative_to(tmp_path).as_posix() for path in find_images([tmp_path])]
    assert names == ["a.svs", "b.NDPI", "c.mrxs", "d.ome.tif", "e.jp2", "g", "h.zarr"]
    assert find_images([tmp_path / "h.zarr"]) == (tmp_path / "h.zarr",)
    with pytest.raises(ImageError, match=r"h\.zarr: expected an image file, got a folder of zarr, which is read by"):
        read_image(tmp_path / "h.zarr")


def test_files_keep_the_order_given_and_any_suffix(tmp_path: Path) -> None:
    first, second = touch(tmp_path / "z.raw"), touch(tmp_path / "a.png")
    assert find_images([str(first), second]) == (first, second)


def test_each_image_once_where_first_named(tmp_path: Path) -> None:
    a, b = touch(tmp_path / "a.png"), touch(tmp_path / "b.png")
    assert find_images([b, tmp_path, b]) == (b, a)


def test_missing_file_is_left_to_reading(tmp_path: Path) -> None:
    assert find_images([tmp_path / "none.png"]) == (tmp_path / "none.png",)


def test_nothing_found(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt")
    with pytest.raises(ImageError, match=r"no images found; expected files or folders with \.bif"):
        find_images([tmp_path])
    with pytest.raises(ImageError, match="nothing: no images found"):
        find_images([])
