"""Which classifiers convert, how, and how right: one row for each, in a table that can be interrupted and resumed.

    python benchmarks/coverage.py run --results coverage.jsonl [PATTERN ...]
    python benchmarks/coverage.py table --results coverage.jsonl --output docs/coverage.md

Needs requirements/coverage.txt. Each classifier is tried in a process of its own, one at a time.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from apart import Limits, run_apart
from classifiers import Case, of_timm, of_torchvision, of_transformers
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from trial import TrialSettings, try_case

_SUITES = (of_torchvision, of_timm, of_transformers)


def main() -> None:
    options = _parse()
    cases = [case for suite in _SUITES for case in suite.list_cases()]
    if options.command == "run":
        run_cases([case for case in cases if _is_wanted(case, options.patterns)], options)
    else:
        from coverage_table import write_table

        write_table(load_rows(options.results), options.output, len(cases))


def run_cases(cases: Sequence[Case], options: argparse.Namespace) -> None:
    """Tries the cases that have no row yet and appends their rows."""
    kept = {row["key"] for row in load_rows(options.results) if row["outcome"] not in options.again}
    settings = TrialSettings(quick=options.quick)
    limits = Limits(options.seconds, int(options.gigabytes * 1e9))
    origin = describe_origin()
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as progress, options.results.open("a") as file:
        task = progress.add_task("", total=len(cases))
        for case in cases:
            progress.update(task, description=case.key)
            if case.key not in kept:
                row = _make_row(case) | run_apart(partial(try_case, case, settings), limits) | origin
                file.write(json.dumps(row) + "\n")
                file.flush()
                progress.print(summarise(row))
            progress.advance(task)


def summarise(row: dict[str, Any]) -> str:
    """Returns a row in one line."""
    worst = max((error for by_dtype in row.get("errors", {}).values() for error in by_dtype.values()), default=0.0)
    facts = f"tier {row['tier']}, {row['shared']:.2f} shared, error {worst:.0e}" if "tier" in row else ""
    reason = row.get("message") or next(iter(row.get("reasons", [])), "")
    return f"{row['outcome']:9} {row['key']} {facts} {reason}"


def load_rows(path: Path) -> list[dict[str, Any]]:
    """Returns the latest row of each case, in the order in which the cases were first tried."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return list({row["key"]: row for row in rows}.values())


def describe_origin() -> dict[str, str]:
    """Returns what the figures depend on: versions and the commit."""
    names = ("torch", "torchvision", "timm", "transformers")
    command = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(command, check=False, cwd=Path(__file__).parent, capture_output=True, text=True)
    return {**{name: version(name) for name in names}, "commit": commit.stdout.strip() or "unknown"}


def _make_row(case: Case) -> dict[str, Any]:
    return {"key": case.key, "suite": case.suite, "name": case.name}


def _is_wanted(case: Case, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatch.fnmatch(case.key, pattern) for pattern in patterns)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="try classifiers that have no row yet")
    run.add_argument("patterns", nargs="*", help="such as 'timm/*' or '*/resnet*'; all where none is given")
    run.add_argument("--quick", action="store_true", help="one window in float32 only")
    run.add_argument("--seconds", type=float, default=600, help="limit for each classifier")
    run.add_argument("--gigabytes", type=float, default=10, help="memory limit for each classifier")
    run.add_argument("--again", nargs="*", default=[], metavar="OUTCOME", help="try rows of these outcomes again")
    table = commands.add_parser("table", help="write the table of the rows")
    table.add_argument("--output", type=Path, required=True)
    for command in (run, table):
        command.add_argument("--results", type=Path, required=True, help="rows, one JSON object a line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
