"""Pages that benchmarks write: rows of tables, and sections that several commands write into one page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fullyconv.atomic import write_whole

# Where files lie on one machine says nothing to a reader.
_PATH = re.compile(r"\s*\(?(/[\w.\-]+){2,}\)?")


def join_cells(cells: Iterable[Any]) -> str:
    """Returns one row of a table.

    >>> join_cells(["a", 1])
    '| a | 1 |'
    """
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def shorten_message(message: str) -> str:
    """Returns the first sentence of a message, in one line, without paths."""
    return " ".join(_PATH.sub("", message).split()).split(". ")[0][:220]


def read_section(path: Path, heading: str) -> list[str]:
    """Returns the lines of a section `## heading`, up to the next; none where the page does not have it."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    first, last = _find_section(lines, heading)
    return lines[first:last]


def replace_section(path: Path, heading: str, content: Sequence[str]) -> None:
    """Puts `content`, without its heading, into the section of a page; at its end where it has none."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first, last = _find_section(lines, heading)
    if lines[:first] and lines[first - 1]:
        lines.insert(first, "")
        first, last = first + 1, last + 1
    lines[first:last] = [f"## {heading}", "", *content, *([""] if lines[last:] else [])]
    with write_whole(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _find_section(lines: Sequence[str], heading: str) -> tuple[int, int]:
    starts = [place for place, line in enumerate(lines) if line.startswith("## ")]
    for place, end in zip(starts, [*starts, len(lines)][1:], strict=True):
        if lines[place] == f"## {heading}":
            return place, end
    return len(lines), len(lines)
