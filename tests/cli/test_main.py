"""The command line's frame: exit codes, one line of error, and commands that load only what they need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fullyconv import cli
from fullyconv.cli import COMMANDS, main
from fullyconv.errors import OptionError


@pytest.mark.parametrize("arguments", [[], ["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_is_no_error(arguments, capsys):
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("Usage: fullyconv")
    assert shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convrt"], 'Unknown command "convrt". Did you mean "convert"?'),
        (["convert", "x"], "--output requires an argument"),
        (["convert", "x", "-o", "y", "--colour", "pink"], "--colour"),
        (["inspect", "--imag", "3", "x"], "Did you mean --image?"),
        (["inspect", "x", "y"], "y"),
        (["verify", "dense.pt2"], "--against requires an argument"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("fullyconv: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err


@pytest.fixture
def failing_command(monkeypatch):
    def register(error: BaseException) -> None:
        def inspect(path: str, /) -> None:
            raise error

        app = cli.App(name="fullyconv", suppress_keyboard_interrupt=cli.app.suppress_keyboard_interrupt)
        app.command(inspect, name="inspect")
        monkeypatch.setattr(cli, "app", app)

    return register


def test_bad_input_is_one_line_even_where_the_message_has_several(failing_command, capsys):
    failing_command(OptionError("expected this,\n  got that"))
    assert main(["inspect", "x"]) == 2
    assert capsys.readouterr().err == "fullyconv: expected this, got that\n"


def test_an_interruption_is_130(failing_command, capsys):
    failing_command(KeyboardInterrupt())
    assert main(["inspect", "x"]) == 130
    assert capsys.readouterr().err == "fullyconv: interrupted\n"


def test_a_bug_is_shown_as_one(failing_command):
    failing_command(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        main(["inspect", "x"])


def test_a_reader_that_goes_away_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "fullyconv", "--help"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
