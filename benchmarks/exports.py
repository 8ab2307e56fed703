"""Which ONNX files convert, and how right they are on two runtimes: one row for each, resumable.

    python benchmarks/exports.py run --results exports.jsonl [PATTERN ...]
    python benchmarks/exports.py table --results exports.jsonl --output docs/onnx.md --trained docs/coverage.md

Needs requirements/coverage.txt, OpenVINO and scikit-image. Each file is made and tried in a process of its own, one at
a time. Trained weights are downloaded into ~/.cache/fullyconv-benchmarks when they are first wanted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from export_table import VERSIONS, write_table, write_trained
from export_trial import try_export
from exported import Export, of_keras, of_light, of_torchvision, of_wheels
from photo_trial import try_trained
from rows import Row, add_results_option, add_run_options, describe_origin, load_rows, run_cases

_SUITES = (of_light, of_torchvision, of_keras, of_wheels)


def main() -> None:
    options = _parse()
    cases = [case for suite in _SUITES for case in suite.list_cases()]
    if options.command == "run":
        run_cases(cases, _try, options, describe_origin(VERSIONS))
    else:
        rows = load_rows(options.results)
        write_table(rows, options.output)
        write_trained(rows, options.trained)


def _try(case: Export) -> Row:
    return (try_trained if case.suite == of_wheels.SUITE else try_export)(case)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    add_run_options(commands.add_parser("run", help="try files that have no row yet"))
    table = commands.add_parser("table", help="write the table of the rows")
    table.add_argument("--output", type=Path, required=True)
    table.add_argument("--trained", type=Path, required=True, help="the page that gets the section on trained weights")
    add_results_option(table)
    return parser.parse_args()


if __name__ == "__main__":
    main()
