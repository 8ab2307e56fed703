"""Scans that are killed, that meet a full disk or another image, and that find damaged parts: nothing is lost."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from torch import nn

import fullyconv
from fullyconv.cli import main
from fullyconv.scan.ledger import Ledger
from fullyconv.scan.score_store import ScoreStore
from scans import list_files

SIDE = 1200
MEMORY = "214MB"  # of which tiles get 22: some 30 of them
KILLS = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that does not pad, and an image in JPEG tiles."""
    torch.manual_seed(5)
    network = nn.Sequential(
        *(nn.Conv2d(3, 24, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(24, 24, 5), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(24 * 4 * 4, 2), nn.Sigmoid()),
    ).eval()
    folder = tmp_path_factory.mktemp("scans")
    fullyconv.convert(network, window=(20, 20)).save(folder / "dense.pt2")
    write_image(folder / "image.tif", skimage.data.immunohistochemistry())
    return folder


def write_image(path: Path, tissue: np.ndarray) -> None:
    pixels = np.tile(tissue, (3, 3, 1))[:SIDE, :SIDE]
    tifffile.imwrite(path, pixels, tile=(128, 128), compression="jpeg", photometric="rgb", resolution=(20000, 20000))


def list_arguments(folder: Path, output: Path, *more: str) -> list[str]:
    options = ["--memory", MEMORY, "--threshold", "0.5", "--threads", "1", "-o", str(output), *more]
    return ["scan", str(folder / "dense.pt2"), str(folder / "image.tif"), *options]


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Path:
    output = folder / "undisturbed.zarr"
    assert main(list_arguments(folder, output)) == 0
    return output


def check_same(output: Path, undisturbed: Path, *, but: str = "") -> None:
    written, expected = list_files(output), list_files(undisturbed)
    assert written.keys() == expected.keys()
    assert {name for name in written if written[name] != expected[name]} <= {but}
    with Ledger.read(output.with_suffix(".sqlite")) as one, Ledger.read(undisturbed.with_suffix(".sqlite")) as other:
        assert one.list_detections() == other.list_detections() != []
        assert one.list_candidates() == other.list_candidates()
        assert one.list_done() == other.list_done()


def test_a_scan_that_is_killed_again_and_again(folder: Path, undisturbed: Path, tmp_path: Path) -> None:
    """The whole group of processes, each time at another moment of its work; then it is left alone."""
    output, log, chance = tmp_path / "out.zarr", tmp_path / "log", random.Random(7)
    command = [sys.executable, "-m", "fullyconv", *list_arguments(folder, output, "--log", str(log))]
    tiles = len(ScoreStore.open(undisturbed).description.outputs) and len(list_done(undisturbed))
    killed_after = []
    for _ in range(KILLS):
        before = count_lines(log)
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
        wait_for(lambda: count_lines(log) > before or process.poll() is not None)  # noqa: B023
        time.sleep(chance.uniform(0, 0.1))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        killed_after.append(count_lines(log))
    print("tiles that were done at each kill:", killed_after, "of", tiles)
    assert len(list_done(output)) < tiles, "it was killed before its end"
    subprocess.run(command, check=True, capture_output=True)
    check_same(output, undisturbed)
    assert not list(output.rglob("*.partial"))


def list_done(output: Path) -> frozenset[int]:
    with Ledger.read(output.with_suffix(".sqlite")) as ledger:
        return ledger.list_done()


def count_lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait_for(condition: object) -> None:
    while not condition():  # type: ignore[operator]
        time.sleep(0.002)


def test_the_same_command_again_does_nothing(folder: Path, undisturbed: Path, capsys: pytest.CaptureFixture) -> None:
    before = list_files(undisturbed)
    assert main(list_arguments(folder, undisturbed)) == 0
    assert "nothing was left to do" in capsys.readouterr().out
    assert list_files(undisturbed) == before


def test_another_image_under_the_same_name(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("dense.pt2", "image.tif"):
        shutil.copy2(folder / name, tmp_path / name)
    assert main(list_arguments(tmp_path, tmp_path / "out.zarr")) == 0
    before = list_files(tmp_path / "out.zarr")
    write_image(tmp_path / "image.tif", skimage.data.immunohistochemistry()[::-1])
    assert main(list_arguments(tmp_path, tmp_path / "out.zarr")) == 2
    message = capsys.readouterr().err
    assert "expected the scan that was begun there, got another: image was" in message
    assert "choose another output, or --overwrite to begin anew" in message
    assert list_files(tmp_path / "out.zarr") == before


def test_no_room_for_files(folder: Path, undisturbed: Path, tmp_path: Path) -> None:
    """The system refuses to write past a limit, as a full disk does; with room again the scan goes on."""
    output = tmp_path / "out.zarr"
    command = [sys.executable, "-m", "fullyconv", *list_arguments(folder, output)]
    largest = max(len(content) for content in list_files(undisturbed).values())
    ended = subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, largest - 1)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "cannot be written" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    subprocess.run(command, check=True, capture_output=True)
    check_same(output, undisturbed)


def test_an_output_that_may_not_be_written(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(list_arguments(folder, tmp_path / "file" / "out.zarr")) == 2
    assert "cannot be made a folder (File exists); choose another with -o" in capsys.readouterr().err


def test_a_second_scan_on_the_same_output(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with Ledger.open(tmp_path / "out.sqlite"):
        assert main(list_arguments(folder, tmp_path / "out.zarr")) == 2
    assert "another scan is writing there; wait for it, or choose another output" in capsys.readouterr().err


def test_a_damaged_part_of_the_image(
    folder: Path, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in ("dense.pt2", "image.tif"):
        shutil.copy2(folder / name, tmp_path / name)
    mend = damage(tmp_path / "image.tif", segment=33)
    output = tmp_path / "out.zarr"
    assert main(list_arguments(tmp_path, output)) == 1
    message = capsys.readouterr().err
    assert "tiles could not be done" in message
    assert "give the same command with --retry-failed to run only these" in message
    got, whole = read_scores(output), read_scores(undisturbed)
    missing = np.isnan(got)
    assert 0 < missing.mean() < 0.5
    np.testing.assert_array_equal(got[~missing], whole[~missing])
    assert main(list_arguments(tmp_path, output)) == 1, "the same command does not try again by itself"
    assert "tiles could not be done" in capsys.readouterr().err
    mend()
    assert main(list_arguments(tmp_path, output)) == 2, "a changed image is not read from without being told to"
    assert "got another: image was" in capsys.readouterr().err
    assert main(list_arguments(tmp_path, output, "--retry-failed")) == 0
    assert "has changed since: of the new one, only what had failed was read" in capsys.readouterr().err
    check_same(output, undisturbed, but="zarr.json")  # which says where the image lies


def damage(path: Path, segment: int) -> object:
    """Overwrites a tile of a TIFF in place; the function that is returned puts it back. The file's time stays."""
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[segment], file.pages[0].databytecounts[segment]
    whole, times = path.read_bytes(), path.stat()

    def write(content: bytes) -> None:
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    write(whole[:offset] + b"\0" * count + whole[offset + count :])
    return lambda: write(whole)


def read_scores(output: Path) -> np.ndarray:
    store = ScoreStore.open(output)
    _, rows, columns = store.shape
    return store.read((0, rows), (0, columns))
