"""Rows of a benchmark: one JSON object a line for each case, so that a run can be interrupted and resumed."""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, TypeVar

from apart import Limits, run_apart
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Row = dict[str, Any]


class Listed(Protocol):
    """A case: a row of the table."""

    suite: str
    name: str

    @property
    def key(self) -> str: ...


Kind = TypeVar("Kind", bound=Listed)


def run_cases(
    cases: Sequence[Kind],
    attempt: Callable[[Kind], Row],
    options: argparse.Namespace,
    origin: dict[str, str],
    *,
    beside: Callable[[Kind], Row] | None = None,
) -> None:
    """Tries the cases that have no row yet, each in a process of its own, and appends their rows.

    Args:
        cases: all that are listed.
        attempt: returns the row of a case; in the process of its own.
        options: of `add_run_options`.
        origin: what the figures depend on.
        beside: returns more figures for a row that came to its end, in a process of its own too.
    """
    wanted = [case for case in cases if _is_wanted(case, options.patterns)]
    kept = {row["key"] for row in load_rows(options.results) if row["outcome"] not in options.again}
    limits = Limits(options.seconds, int(options.gigabytes * 1e9))
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress, options.results.open("a") as file:
        task = progress.add_task("", total=len(wanted))
        for case in wanted:
            progress.update(task, description=case.key)
            if case.key not in kept:
                named = {"key": case.key, "suite": case.suite, "name": case.name}
                row = named | run_apart(partial(attempt, case), limits) | origin
                if beside is not None and row.get("convert_bytes") is not None:
                    more = run_apart(partial(beside, case), limits)
                    row = more | row  # how that ended is not how the case did
                file.write(json.dumps(row) + "\n")
                file.flush()
                progress.print(summarise(row))
            progress.advance(task)


def summarise(row: Row) -> str:
    """Returns a row in one line."""
    worst = max((error for errors in row.get("errors", {}).values() for error in errors.values()), default=0.0)
    facts = f"tier {row['tier']}, {row['shared']:.2f} shared, error {worst:.0e}" if "tier" in row else ""
    reason = row.get("message") or next(iter(row.get("reasons", [])), "")
    return f"{row['outcome']:9} {row['key']} {facts} {reason}"


def load_rows(path: Path) -> list[Row]:
    """Returns the latest row of each case, in the order in which the cases were first tried."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return list({row["key"]: row for row in rows}.values())


def describe_origin(names: Sequence[str]) -> dict[str, str]:
    """Returns what the figures depend on: the versions of what is installed of `names`, and the commit."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, check=False, cwd=Path(__file__).parent, capture_output=True, text=True)
    found = {name: read_version(name) for name in names}
    return {**{name: text for name, text in found.items() if text}, "commit": commit.stdout.strip() or "unknown"}


def read_version(name: str) -> str:
    """Returns the version of an installed package; "" where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def describe_versions(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Returns the versions and commits of rows, for a reader."""
    found = {name: sorted({row[name] for row in rows if row.get(name)}) for name in (*names, "commit")}
    return ", ".join(f"{name} {' and '.join(versions)}" for name, versions in found.items() if versions)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds what `run_cases` reads."""
    parser.add_argument("patterns", nargs="*", help="such as 'timm/*' or '*/resnet*'; all where none is given")
    parser.add_argument("--seconds", type=float, default=600, help="limit for each classifier")
    parser.add_argument("--gigabytes", type=float, default=10, help="memory limit for each classifier")
    parser.add_argument("--again", nargs="*", default=[], metavar="OUTCOME", help="try rows of these outcomes again")
    add_results_option(parser)


def add_results_option(parser: argparse.ArgumentParser) -> None:
    """Adds the file of the rows."""
    parser.add_argument("--results", type=Path, required=True, help="rows, one JSON object a line")


def _is_wanted(case: Listed, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatch(case.key, pattern) for pattern in patterns)
