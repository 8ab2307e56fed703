"""Which classifiers convert, how, and how right: one row for each, in a table that can be interrupted and resumed.

    python benchmarks/coverage.py run --results coverage.jsonl [PATTERN ...]
    python benchmarks/coverage.py table --results coverage.jsonl --output docs/coverage.md

Needs requirements/coverage.txt. Each classifier is tried in a process of its own, one at a time.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from classifiers import of_timm, of_torchvision, of_transformers
from coverage_table import VERSIONS, write_table
from rows import add_results_option, add_run_options, describe_origin, load_rows, run_cases
from trial import TrialSettings, try_case

_SUITES = (of_torchvision, of_timm, of_transformers)


def main() -> None:
    options = _parse()
    cases = [case for suite in _SUITES for case in suite.list_cases()]
    if options.command == "run":
        attempt = partial(try_case, settings=TrialSettings(quick=options.quick))
        run_cases(cases, attempt, options, describe_origin(VERSIONS))
    else:
        write_table(load_rows(options.results), options.output, len(cases))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="try classifiers that have no row yet")
    run.add_argument("--quick", action="store_true", help="one window in float32 only")
    add_run_options(run)
    table = commands.add_parser("table", help="write the table of the rows")
    table.add_argument("--output", type=Path, required=True)
    add_results_option(table)
    return parser.parse_args()


if __name__ == "__main__":
    main()
