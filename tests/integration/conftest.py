"""Models that the command line itself made, from crops of scikit-image's face set, in two epochs."""

from __future__ import annotations

import sys

import pytest

from commands import Made, list_files, run_fullyconv, write_crops
from fullyconv.cli import main


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
def fails(tmp_path, monkeypatch, capsys):
    """Runs a command that must fail with exit code 2 and one line, and leave nothing behind in `tmp_path`.

    In this process, because most of a short command's time goes into importing torch.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # and so taken away again: commands add the current directory

    def check(*arguments: object, message: str) -> None:
        before = list_files(tmp_path)
        code = main([*map(str, arguments)])
        shown = capsys.readouterr()
        assert (code, shown.out) == (2, ""), shown.err
        assert shown.err.startswith("fullyconv: ")
        assert shown.err.count("\n") == 1, shown.err
        assert message in shown.err
        assert list_files(tmp_path) == before, "something half-written was left"

    yield check
    for name in [name for name in sys.modules if name == "nets"]:
        del sys.modules[name]
