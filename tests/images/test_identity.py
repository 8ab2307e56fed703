import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from fullyconv.errors import ImageError
from fullyconv.images.identity import identify_file, identify_folder
from fullyconv.images.opening import describe_source


def write(path: Path, data: bytes, time: int = 1) -> Path:
    path.write_bytes(data)
    os.utime(path, ns=(time, time))
    return path


def test_of_a_file(tmp_path: Path) -> None:
    data = bytes(10_000_000)
    first = identify_file(write(tmp_path / "a", data))
    assert identify_file(write(tmp_path / "b", data)) == first, "where it lies does not count"
    assert identify_file(write(tmp_path / "a", data, time=2)) != first
    assert identify_file(write(tmp_path / "a", data + b"x")) != first
    for place in (0, len(data) - 1, round((len(data) - 2**16) / 15 * 7)):
        changed = bytearray(data)
        changed[place] = 1
        assert identify_file(write(tmp_path / "a", bytes(changed))) != first, f"a piece at {place} is read"


def test_of_a_small_file_every_byte_counts(tmp_path: Path) -> None:
    assert identify_file(write(tmp_path / "a", b"abc")) != identify_file(write(tmp_path / "a", b"abd"))


def test_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    array = zarr.create_array(path, data=np.zeros((40, 40), np.uint8), chunks=(20, 20), fill_value=1)
    first = identify_folder(path)
    assert identify_folder(path) == first
    array[0, 0] = 9
    second = identify_folder(path)
    assert second != first
    (path / "c" / "0" / "1").unlink()
    assert identify_folder(path) not in (first, second)


def test_metadata_of_the_same_size_and_time(tmp_path: Path) -> None:
    first = identify_folder(write(tmp_path / "zarr.json", b"{1}").parent)
    assert identify_folder(write(tmp_path / "zarr.json", b"{2}").parent) != first


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_what_must_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "zarr.json", b"{}")
    monkeypatch.setattr(Path, "open", refuse)
    for look in (identify_file, describe_source):
        with pytest.raises(ImageError, match=r"zarr\.json: the image cannot be read: permission denied"):
            look(path)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ImageError, match="the image cannot be read: permission denied"):
        identify_folder(tmp_path)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="none: no such image"):
        identify_file(tmp_path / "none")
    with pytest.raises(ImageError, match="none: no such image"):
        identify_folder(tmp_path / "none")
