from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zarr

from fullyconv.errors import ImageError, RegionError
from fullyconv.images.opening import describe_source
from fullyconv.images.zarr_source import ZarrSpec
from pictures import check_regions, make_picture

RGB = make_picture()
MICRO = "micrometer"


def write_image(path: Path, levels, axes: str, version: int, *, unit: str | None = MICRO, scale: float = 0.5) -> Path:
    """An OME-Zarr image as the format's description has it: 0.4 is on zarr version 2, 0.5 on version 3."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    datasets = []
    for index, pixels in enumerate(levels):
        chunks = tuple(min(32, length) for length in pixels.shape)
        group.create_array(str(index), data=pixels, chunks=chunks)
        factors = [scale * 2**index if axis in "yx" else 1.0 for axis in axes]
        datasets.append({"path": str(index), "coordinateTransformations": [{"type": "scale", "scale": factors}]})
    kinds = {"y": "space", "x": "space", "z": "space", "c": "channel", "t": "time"}
    described = [
        {"name": axis, "type": kinds[axis]} | ({"unit": unit} if unit and axis in "yx" else {}) for axis in axes
    ]
    multiscales = [{"axes": described, "datasets": datasets, "name": "image"}]
    if version == 2:
        group.attrs["multiscales"] = [multiscales[0] | {"version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    return path


def lay_axes(pixels, axes: str):
    """`(y, x, c)` pixels with the axes in another order, and others of one element."""
    kept = [axis for axis in axes if axis in "yxc"]
    laid = pixels.transpose([("y", "x", "c").index(axis) for axis in kept]) if "c" in axes else pixels[:, :, 0]
    return laid.reshape([laid.shape[kept.index(axis)] if axis in kept else 1 for axis in axes])


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("axes", ["yx", "cyx", "tczyx", "yxc", "zyx"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ome_zarr(tmp_path: Path, version: int, axes: str, dtype) -> None:
    full = make_picture(channels=3 if "c" in axes else 1, dtype=dtype)
    levels = [full, full[::2, ::2], full[::4, ::4]]
    path = write_image(tmp_path / "a.zarr", [lay_axes(level, axes) for level in levels], axes, version)
    source = describe_source(path).open()
    assert [level.downsample for level in source.levels] == [(1, 1), (2, 2), (4, 4)]
    assert source.microns_per_pixel == (0.5, 0.5)
    check_regions(source, *levels)


@pytest.mark.parametrize("version", [2, 3])
def test_plain_arrays(tmp_path: Path, version: int) -> None:
    for name, pixels in {"rgb": RGB, "grey": RGB[:, :, 0]}.items():
        zarr.create_array(tmp_path / name, data=pixels, chunks=(32, 32, *pixels.shape[2:]), zarr_format=version)
        source = describe_source(tmp_path / name).open()
        assert source.microns_per_pixel is None
        check_regions(source, pixels.reshape(100, 120, -1))


def test_names_of_dimensions(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", data=RGB.transpose(2, 1, 0), chunks=(1, 32, 32), dimension_names=["c", "x", "y"])
    check_regions(describe_source(tmp_path / "a").open(), RGB)


def test_bands(tmp_path: Path) -> None:
    pixels = make_picture(channels=6)
    path = write_image(tmp_path / "a.zarr", [pixels.transpose(2, 0, 1)], "cyx", 3)
    check_regions(describe_source(path, bands=(5, 2)).open(), pixels[:, :, [4, 1]])
    with pytest.raises(ImageError, match="expected grey or colour, got 6 bands"):
        describe_source(path)


@pytest.mark.parametrize(("unit", "scale", "expected"), [("nanometer", 250, 0.25), (None, 1, None), ("inch", 1, None)])
def test_units(tmp_path: Path, unit, scale: float, expected) -> None:
    path = write_image(tmp_path / "a.zarr", [RGB], "yxc", 3, unit=unit, scale=scale)
    with closing(ZarrSpec(path).open()) as source:
        assert source.microns_per_pixel == (None if expected is None else (expected, expected))


def test_a_scale_of_all_levels_counts_as_well(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", [RGB], "yxc", 3)
    group = zarr.open_group(path)
    ome = dict(group.attrs["ome"])
    ome["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [2.0, 4.0, 1.0]}]
    group.attrs["ome"] = ome
    with closing(ZarrSpec(path).open()) as source:
        assert source.microns_per_pixel == (1.0, 2.0)


def test_an_array_in_a_group_by_its_path(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", [RGB, RGB[::2, ::2]], "yxc", 2)
    check_regions(describe_source(path / "1").open(), RGB[::2, ::2])


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((3, 40, 40), "zyx", "expected one plane, got 3 along z; save the plane"),
        ((2, 1, 40, 40), "tcyx", "expected one plane, got 2 along t"),
        ((40, 40), "cz", r"expected axes with y and x, got \['c', 'z'\] for \(40, 40\)"),
    ],
)
def test_axes_that_are_no_image(tmp_path: Path, shape, axes: str, message: str) -> None:
    path = write_image(tmp_path / "a.zarr", [np.zeros(shape, np.uint8)], axes, 3)
    with pytest.raises(ImageError, match=message):
        ZarrSpec(path).open()


def test_folders_that_are_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.zarr: expected a folder of zarr, got none"):
        ZarrSpec(tmp_path / "none.zarr").open()
    group = zarr.open_group(tmp_path / "group.zarr", mode="w")
    group.create_group("first")
    with pytest.raises(ImageError, match=r"expected an OME-Zarr image .*got a group of first; name what is in it"):
        describe_source(tmp_path / "group.zarr")
    group.attrs["ome"] = {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "first"}]}]}
    with pytest.raises(ImageError, match="expected an array at 'first', got a group"):
        describe_source(tmp_path / "group.zarr")
    group.attrs["ome"] = {"multiscales": [{"axes": ["y", "x"], "datasets": []}]}
    with pytest.raises(ImageError, match=r"group\.zarr: the zarr folder cannot be read: "):
        describe_source(tmp_path / "group.zarr")
    zarr.create_array(tmp_path / "four", shape=(2, 3, 4, 5), dtype="u1")
    with pytest.raises(ImageError, match=r"expected axes with y and x, got \[\] for \(2, 3, 4, 5\)"):
        describe_source(tmp_path / "four")


def test_levels_of_different_kinds_are_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", [RGB, RGB[::2, ::2].astype(np.uint16)], "yxc", 3)
    with pytest.raises(ImageError, match="expected levels alike, got uint8 and 3 channels, uint16 and 3 channels"):
        ZarrSpec(path).open()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("damage", ["overwritten", "cut", "empty"])
def test_a_damaged_chunk_fails_alone(tmp_path: Path, version: int, damage: str) -> None:
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=RGB, chunks=(50, 120, 3), zarr_format=version)
    chunk = path / {2: "0.0.0", 3: "c/0/0/0"}[version]  # the upper half
    data = chunk.read_bytes()
    chunk.write_bytes({"overwritten": bytes(len(data)), "cut": data[: len(data) // 2], "empty": b""}[damage])
    with closing(ZarrSpec(path).open()) as source:
        np.testing.assert_array_equal(source.read(0, (50, 0), (50, 120)), RGB[50:])
        with pytest.raises(RegionError, match=r"a\.zarr: the region 5x5 from x=0, y=0 of level 0 cannot be read: ."):
            source.read(0, (0, 0), (5, 5))


def test_a_chunk_that_was_never_written_is_what_zarr_fills_in(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(40, 40), chunks=(20, 20), dtype="u1", fill_value=7)
    array[:20] = 9
    with closing(ZarrSpec(tmp_path / "a.zarr").open()) as source:
        assert source.read(0, (19, 0), (2, 1)).ravel().tolist() == [9, 7]
