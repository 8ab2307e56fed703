"""Runs a guide of docs/guides as its reader would: its Python, its commands, and what both are said to print."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

from fullyconv.cli import main

GUIDES = Path(__file__).parents[1] / "docs" / "guides"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def run_guide(name: str) -> dict[str, Any]:
    """Runs all blocks of a guide in the current folder and returns the names of its Python.

    Python blocks run one after the other in one namespace; a `text` block is what those since the last one printed.
    In a `console` block each line that begins with `$` is a command, which must succeed, and each other line must be
    among the lines that it printed.
    """
    names: dict[str, Any] = {}
    printed = ""
    for kind, content in _BLOCK.findall((GUIDES / f"{name}.md").read_text(encoding="utf-8")):
        if kind == "python":
            printed += _capture(lambda code=content: exec(compile(code, f"{name}.md", "exec"), names))
        elif kind == "text":
            assert printed == content, f"{name}.md says that it prints {content!r}, it prints {printed!r}"
            printed = ""
        elif kind == "console":
            _run_commands(content)
        else:
            raise ValueError(f"{name}.md: expected a block of python, text or console, got {kind}")
    return names


def _run_commands(content: str) -> None:
    said = ""
    for line in content.splitlines():
        if line.startswith("$ "):
            program, *arguments = shlex.split(line[2:])
            assert program == "fullyconv", line
            said = _capture(lambda given=arguments: _succeed(given))
        else:
            assert line in [shown.rstrip() for shown in said.splitlines()], f"{line!r} is not in {said!r}"


def _succeed(arguments: list[str]) -> None:
    code = main(arguments)
    assert code == 0, f"{arguments} ended with {code}"


def _capture(run: Any) -> str:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        run()
    return stream.getvalue()
