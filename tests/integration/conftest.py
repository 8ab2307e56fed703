"""Models that the command line itself made, from crops of scikit-image's face set, in two epochs."""

from __future__ import annotations

import pytest

from commands import Made, list_files, run_fullyconv, write_crops


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    crops, model, dense = write_crops(folder / "crops"), folder / "model.pt2", folder / "dense.pt2"
    quick = ("--epochs", 2, "--fewest-batches", 2)
    trained = run_fullyconv("train", crops, "--window", "25x25", "-o", model, *quick)
    assert trained.returncode == 0, trained.stderr
    converted = run_fullyconv("convert", model, "--window", "25x25", "-o", dense)
    assert converted.returncode == 0, converted.stderr
    return Made(crops, model, dense, {"train": trained.stdout, "convert": converted.stdout})


@pytest.fixture
def fails(tmp_path):
    """Runs a command that must fail with exit code 2 and one line, and leave nothing behind in `tmp_path`."""

    def check(*arguments: object, message: str) -> None:
        before = list_files(tmp_path)
        done = run_fullyconv(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert done.stderr.startswith("fullyconv: ")
        assert done.stderr.count("\n") == 1, done.stderr
        assert message in done.stderr
        assert list_files(tmp_path) == before, "something half-written was left"

    return check
