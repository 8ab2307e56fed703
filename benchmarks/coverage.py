"""Which classifiers convert, how, and how right: one row for each, in a table that can be interrupted and resumed.

    python benchmarks/coverage.py run --results coverage.jsonl [PATTERN ...]
    python benchmarks/coverage.py table --results coverage.jsonl --output docs/coverage.md

Needs requirements/coverage.txt. Each classifier is tried in a process of its own, one at a time, and once
more converted in another one to see what that takes from a cold start.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from classifiers import Case, of_timm, of_torchvision, of_transformers
from cold_start import measure_cold, measure_libraries
from coverage_table import VERSIONS, write_table
from rows import Row, add_results_option, add_run_options, describe_origin, load_rows, run_cases

_SUITES = (of_torchvision, of_timm, of_transformers)


def main() -> None:
    options = _parse()
    cases = [case for suite in _SUITES for case in suite.list_cases()]
    if options.command == "run":

        def attempt(case: Case) -> Row:
            # Not before: the processes that measure a cold start are made of this one.
            from trial import TrialSettings, try_case

            return try_case(case, TrialSettings(quick=options.quick))

        run_cases(cases, attempt, options, describe_origin(VERSIONS), beside=measure_cold)
    else:
        rows, libraries_bytes = load_rows(options.results), measure_libraries()
        write_table(rows, options.output, listed=len(cases), libraries_bytes=libraries_bytes)


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
