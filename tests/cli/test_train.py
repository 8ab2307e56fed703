import signal
import subprocess
import sys

import numpy as np
import pytest
from cyclopts import App
from PIL import Image

from fullyconv.cli.train import train
from fullyconv.cli.train_progress import show_progress
from fullyconv.errors import OptionError
from fullyconv.train.events import BatchDone, Note

QUICK = ["--epochs", "1", "--batch-size", "8", "--fewest-batches", "2"]


@pytest.fixture
def crops(tmp_path):
    generator = np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 128)):
        (tmp_path / "crops" / name).mkdir(parents=True)
        for index in range(6):
            pixels = generator.integers(low, low + 100, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "crops" / name / f"{index}.png")
    return tmp_path / "crops"


def run(*arguments):
    app = App(result_action="return_value")
    app.default(train)
    return app([str(argument) for argument in arguments], exit_on_error=False, print_error=False)


def test_it_trains_and_says_what_to_do_next(crops, tmp_path, capsys):
    output = tmp_path / "model.pt2"
    assert run(crops, "--window", "16x12", "-o", output, "--positive", "light", *QUICK) == 0
    assert output.exists()
    printed = capsys.readouterr()
    assert f"{output}: 16x12, 3 channels, sigmoid, classes: light" in printed.out
    assert f"next: fullyconv convert {output} --window 16x12 -o dense.pt2" in printed.out
    assert "crops: 6 dark, 6 light, colour\nround 0, epoch 1: training loss" in printed.err


def test_settings_are_options(crops, tmp_path):
    with pytest.raises(OptionError, match="learning_rate: expected more than 0"):
        run(crops, "--window", "16x12", "-o", tmp_path / "model.pt2", "--learning-rate", "0")
    with pytest.raises(OptionError, match="expected a size as WIDTHxHEIGHT"):
        run(crops, "--window", "big", "-o", tmp_path / "model.pt2")


def test_an_interruption_says_how_to_go_on(crops, tmp_path):
    code = (
        "import sys; from pathlib import Path; from fullyconv.cli.train import train\n"
        "from fullyconv.train.settings import FitSettings\n"
        "long = FitSettings(epochs=9000, patience=9000, batch_size=8, fewest_batches=2)\n"
        "sys.exit(train(Path(sys.argv[1]), window='16x12', output=Path(sys.argv[2]), fit=long))\n"
    )
    command = [sys.executable, "-c", code, str(crops), str(tmp_path / "model.pt2")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "epoch 2" in line:
                process.send_signal(signal.SIGINT)
                break
        _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    last = "fullyconv: interrupted; the same command goes on from the last whole epoch"
    assert rest.splitlines()[-1] == last
    assert [path.name for path in tmp_path.glob("model*")] == ["model.pt2.checkpoint"]


def test_events_are_lines_on_stderr_without_a_bar(capsys):
    with show_progress() as progress:
        progress(BatchDone(0, 1, 2))
        progress(Note("crops: [two] of them"))
    assert capsys.readouterr() == ("", "crops: [two] of them\n")
