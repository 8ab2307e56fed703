"""`fullyconv detect` on images that are searched part by part."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
import zarr
from cyclopts import App
from PIL import Image
from torch import nn

import fullyconv
from fullyconv.card import ModelCard
from fullyconv.cli.detect import detect
from fullyconv.cli.detect_results import Search
from fullyconv.cli.export import export
from fullyconv.detect import DetectSettings
from fullyconv.detect.large import LargeSearch
from fullyconv.errors import OptionError
from fullyconv.scan import memory
from fullyconv.scan.engines import InProcess
from fullyconv.scan.network import LoadedNetwork

MEMORY = str(round((memory._LIBRARIES + 300_000) / (1 - memory.KEPT_SHARE)))
OPTIONS = ("--scales", "1,0.5", "--threshold", 0.6, "--memory", MEMORY)
PIXELS = skimage.data.immunohistochemistry()[:180, :240]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(3, 6, 4, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 1), nn.Sigmoid())
    crops = np.stack([PIXELS[y : y + 16, x : x + 16] for y in range(0, 160, 16) for x in range(0, 224, 16)])
    with torch.no_grad():
        raw = network[:4](torch.from_numpy(crops.transpose(0, 3, 1, 2) / np.float32(255)))
        network[3].weight.data /= raw.std()
        network[3].bias.data -= raw.mean()
        network[3].bias.data /= raw.std()
    path = tmp_path_factory.mktemp("model") / "dense.pt2"
    card = ModelCard((16, 16), 3, ("cell",), activation="sigmoid")
    fullyconv.convert(network.eval(), window=(16, 16), card=card).save(path)
    return path


def run(*arguments: object) -> int:
    app = App(name="fullyconv")
    app.command(detect)
    app.command(export)
    code = app([*map(str, arguments)], exit_on_error=False, print_error=False, result_action="return_value")
    assert isinstance(code, int)
    return code


def save_tiff(path: Path, pixels: np.ndarray = PIXELS, **options: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, pixels, tile=(48, 48), photometric="rgb", compression="zlib", **options)
    return path


def damage(path: Path, segment: int) -> None:
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[segment], file.pages[0].databytecounts[segment]
    content = path.read_bytes()
    path.write_bytes(content[:offset] + b"\0" * count + content[offset + count :])


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read_record(path: Path) -> dict:
    record = json.loads(path.read_text())
    assert len(record["detections"]) > 5
    return record


def check_same(one: dict, other: dict) -> None:
    for each in (one, other):
        each["scores"] = [found.pop("score") for found in each["detections"]]
    np.testing.assert_allclose(one.pop("scores"), other.pop("scores"), rtol=0, atol=1e-5)
    assert one == other


def test_record_and_picture_are_those_of_memory(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    image = save_tiff(tmp_path / "in" / "a.tif")
    assert run("detect", model, image, "-o", tmp_path / "memory", *OPTIONS) == 0
    assert run("detect", model, image, "-o", tmp_path / "disk", *OPTIONS, "--threads", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].replace("memory", "disk") == lines[1]
    assert list_names(tmp_path / "disk") == ["a.json", "a.png"], "the scores are gone"
    check_same(read_record(tmp_path / "disk" / "a.json"), read_record(tmp_path / "memory" / "a.json"))
    one, other = (np.asarray(Image.open(tmp_path / name / "a.png")).astype(int) for name in ("memory", "disk"))
    assert np.abs(one - other).max() <= 2


def test_large_is_what_is_not_ordinary(model: Path, tmp_path: Path) -> None:
    image = save_tiff(tmp_path / "in" / "a.tif")
    dense = fullyconv.load(model)
    settings = DetectSettings(scales=(1.0,), memory_bytes=int(MEMORY))
    large = LargeSearch(LoadedNetwork(dense, "trial"), "trial", dense, InProcess(dense), settings)
    pixels = PIXELS.shape[0] * PIXELS.shape[1]
    for most, scans in ((pixels, None), (pixels - 1, tmp_path / f"{pixels - 1}.scan")):
        search = Search(model, large, settings, pictures=False, ordinary_px=most)
        assert search.run(image, tmp_path / str(most), lambda done, total: None).scans == scans


@pytest.mark.parametrize("kind", ["ome.zarr", "five bands", "16 bits in planes"])
def test_formats_that_pillow_does_not_read(model: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "in").mkdir()
    more: tuple = ()
    image = tmp_path / "in" / "a.tif"
    if kind == "ome.zarr":
        image = tmp_path / "in" / "a.zarr"
        zarr.save_array(image, PIXELS)
    elif kind == "five bands":
        bands = np.concatenate([PIXELS, PIXELS[:, :, :2]], axis=2)[:, :, [3, 4, 0, 1, 2]].transpose(2, 0, 1)
        tifffile.imwrite(image, bands, photometric="minisblack", planarconfig="separate", tile=(48, 48))
        more = ("--bands", "3,4,5")
    else:
        planes = PIXELS.astype(np.uint16).transpose(2, 0, 1) * 257
        tifffile.imwrite(image, planes, photometric="rgb", planarconfig="separate", tile=(48, 48))
    picture = save_tiff(tmp_path / "plain.tif")
    assert run("detect", model, picture, "-o", tmp_path / "plain", *OPTIONS) == 0
    assert run("detect", model, tmp_path / "in", "-o", tmp_path / "out", *OPTIONS, *more) == 0
    expected, got = read_record(tmp_path / "plain" / "plain.json"), read_record(tmp_path / "out" / "a.json")
    assert got.pop("image") == {"path": str(image), "width": 240, "height": 180}
    expected.pop("image")
    check_same(got, expected)
    assert list_names(tmp_path / "out") == ["a.json", "a.png"]


def test_scores_can_be_kept(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    image = save_tiff(tmp_path / "in" / "a.tif")
    command = ("detect", model, image, "-o", tmp_path / "out", *OPTIONS, "--threads", 1, "--keep-scores")
    assert run(*command) == 0
    scans = tmp_path / "out" / "a.scan"
    assert list_names(scans) == ["0.sqlite", "0.zarr", "1.sqlite", "1.zarr"]
    record = (tmp_path / "out" / "a.json").read_bytes()
    assert run("export", scans / "1.zarr", "-o", tmp_path / "heat.png") == 0
    capsys.readouterr()
    higher = [0.7 if each == 0.6 else each for each in command[:-1]]
    with pytest.raises(OptionError, match=r"threshold was 0\.6 and is 0\.7; .*--overwrite to begin anew"):
        run(*higher)
    assert (tmp_path / "out" / "a.json").read_bytes() == record
    assert run(*command) == 0
    assert (tmp_path / "out" / "a.json").read_bytes() == record
    assert run(*higher, "--overwrite") == 0
    assert list_names(tmp_path / "out") == ["a.json", "a.png"]


def test_a_damaged_part_and_an_image_among_others(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    whole, bad = save_tiff(tmp_path / "in" / "a.tif"), save_tiff(tmp_path / "in" / "b.tif")
    damage(bad, 0)
    out = tmp_path / "out"
    command = ("detect", model, tmp_path / "in", "-o", out, *OPTIONS, "--threads", 1)
    assert run(*command) == 1
    assert list_names(out) == ["a.json", "a.png", "b.json", "b.scan"], "what failed can be tried again"
    some, everything = read_record(out / "b.json")["detections"], read_record(out / "a.json")["detections"]
    assert 0 < len(some) < len(everything)
    first, *lines = capsys.readouterr().err.splitlines()
    assert first.startswith(f"fullyconv: {bad}: ")
    assert first.endswith(" tiles could not be done:")
    assert lines[0].startswith("  at 1: tile 0 (x 0 to ")
    assert "tile 0 (x=0, y=0; " in lines[0]
    assert lines[-2] == "  give the same command with --retry-failed to run only these"
    assert lines[-1].startswith(f"fullyconv: {bad}: no picture was written: {bad}: the region ")
    save_tiff(bad)
    before = (out / "a.json").stat().st_mtime_ns
    assert run(*command, "--retry-failed") == 0
    assert f"{whole}: nothing was left to do; {out / 'a'}.json" in capsys.readouterr().out
    assert (out / "a.json").stat().st_mtime_ns == before
    assert list_names(out) == ["a.json", "a.png", "b.json", "b.png"]
    assert read_record(out / "b.json")["detections"] == everything


def test_an_interrupted_batch_goes_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The scores of images that are done stay until the batch has come to its end."""
    for name in ("a", "b"):
        save_tiff(tmp_path / "in" / f"{name}.tif")
    out = tmp_path / "out"
    command = ("detect", model, tmp_path / "in", "-o", out, *OPTIONS, "--threads", 1)
    search = Search.run

    def stop(self: Search, path: Path, *more: object) -> object:
        if path.name == "b.tif":
            raise KeyboardInterrupt
        return search(self, path, *more)

    with monkeypatch.context() as patched, pytest.raises(SystemExit, match="130"):
        patched.setattr(Search, "run", stop)
        run(*command)
    assert list_names(out) == ["a.json", "a.png", "a.scan"]
    times = {path: path.stat().st_mtime_ns for path in (out / "a.scan").rglob("*") if "c" in path.parts}
    assert times
    assert run(*command, "--keep-scores") == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times, "nothing of it was computed again"
    assert run(*command) == 0
    assert list_names(out) == ["a.json", "a.png", "b.json", "b.png"]
