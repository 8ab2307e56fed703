"""Rows -> the page on ONNX files, and the section of the coverage page on trained weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from coverage_table import TRAINED
from export_trial import TOLERANCE
from page import join_cells, replace_section, shorten_message
from rows import Row, describe_versions

from fullyconv.atomic import write_whole

VERSIONS = (
    *("torch", "torchvision", "keras", "tensorflow-cpu", "tf2onnx", "onnx", "onnx-ir", "onnxruntime", "openvino"),
)
TRAINED_SUITE = "trained"

_RUNTIMES = ("onnxruntime", "openvino")

_HEAD = f"""# ONNX files that were tried

Made by `benchmarks/exports.py`: each file is written by the exporter that people use, converted, saved as a dense ONNX
file and read again; then its scores are compared with those of the file that it was made from, run by onnxruntime: on
single windows, on patches of the feature map, and on pixel crops where these are promised, on an image one stride
higher than the window and on a wider one with rest pixels. "Error" is the largest difference of logits (of scores where
no softmax or sigmoid is last) relative to the largest, once with the dense file on onnxruntime and once on OpenVINO in
float32; {TOLERANCE:.0e} is allowed. "Float64": the same comparisons with file and dense file in float64 by onnx's
reference implementation, where that was run; it decides, and where it finds both equal a larger error in float32 counts
as rounding. It is not below 1e-10 where the conversion computed weights, which are kept in float32; verify measures
what that makes. Weights are random (seed 0), fitted layer by layer so that scores depend on the image and on every
layer, and gates are not saturated; those of torchvision and Keras are fitted in the framework, before the export. The
scaling by 1/255 within Keras networks is left out, because the images here are of about 1. "As from PyTorch": the dense
network made from the module has the same grid, tier, guarantee and scores, up to this error. Windows are smaller than
the defaults where a network allows it. Seconds are those of `convert`, on 2 CPU cores with much other work running
beside: they are upper bounds.
"""

# The outcome of a case whose file its exporter did not write.
_NOT_MADE = "not made"


def write_table(rows: Sequence[Row], output: Path) -> None:
    """Writes the page on all files but the trained ones."""
    rows = [row for row in rows if row["suite"] != TRAINED_SUITE]
    with write_whole(output) as path:
        path.write_text("\n".join(_write_page(rows)).rstrip() + "\n", encoding="utf-8")


def write_trained(rows: Sequence[Row], output: Path) -> None:
    """Writes the section on trained weights into the coverage page, which must exist."""
    rows = [row for row in rows if row["suite"] == TRAINED_SUITE]
    replace_section(output, TRAINED, list(_write_trained(rows)))


def _write_page(rows: Sequence[Row]) -> Iterator[str]:
    yield _HEAD
    made = [row for row in rows if row["outcome"] != _NOT_MADE]
    counts = [(f"{kind}: ", sum(row["outcome"] == kind for row in made)) for kind in ("right", "rounding")]
    found = "; ".join(f"{kind}{count} of {len(made)} files" for kind, count in counts if count).capitalize()
    yield f"{found}. Versions: {describe_versions(rows, VERSIONS)}.\n"
    yield "## Rounding, wrong, failed or not written by the exporter\n"
    failed = [row for row in rows if row["outcome"] != "right"]
    yield from [f"- {row['key']}: {row['outcome']}: {shorten_message(row.get('message', ''))}" for row in failed]
    yield "" if failed else "None.\n"
    for suite in sorted({row["suite"] for row in rows}):
        yield from _write_suite(suite, sorted((row for row in rows if row["suite"] == suite), key=lambda r: r["name"]))


def _write_suite(suite: str, rows: Sequence[Row]) -> Iterator[str]:
    exporters = sorted({row["exporter"] for row in rows if row.get("exporter")})
    yield f"## {suite}\n"
    yield f"Written by: {'; '.join(exporters) or 'nothing'}.\n"
    yield (
        "| file | window | stride | tier | guarantee | shared | error, onnxruntime | error, OpenVINO | float64 "
        "| as from PyTorch | seconds | windowed because of |"
    )
    yield f"|{' --- |' * 12}"
    for row in rows:
        yield join_cells(_list_cells(row))
    yield ""


def _list_cells(row: Row) -> Iterable[Any]:
    if "tier" not in row:
        return (row["name"], row["outcome"], *["-"] * 10)
    tier = row["tier"] if row["outcome"] == "right" else f"{row['tier']} **{row['outcome']}**"
    node, _, reason = next(iter(row["reasons"]), "").partition(": ")
    facts = (_format_size(row["window"]), _format_size(row["stride"]), tier, row["guarantee"], f"{row['shared']:.0%}")
    errors = [_format_error(row, runtime) for runtime in _RUNTIMES]
    why = f"`{node}`: {reason}" if reason else ""
    double = f"{row['double']:.1e}" if "double" in row else "-"
    return (row["name"], *facts, *errors, double, _format_likeness(row), f"{row['convert_s']:.1f}", why)


def _format_error(row: Row, runtime: str) -> str:
    errors = row.get("errors", {}).get(runtime)
    window_only = "" if row.get("beyond_window") else " (window only)"
    return f"{max(errors.values()):.1e}{window_only}" if errors else "-"


def _format_likeness(row: Row) -> str:
    found = row.get("from_pytorch")
    if found is None:
        return "-"
    return f"no: {'; '.join(found['different'])}" if found["different"] else f"{found['error']:.1e}"


def _format_size(size: Sequence[int]) -> str:
    return f"{size[1]}x{size[0]}"


def _write_trained(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "Made by `benchmarks/exports.py`: networks with trained weights inside packages of the Python Package Index, "
        "converted from ONNX (Keras files by `model.export` first) and compared as in [onnx.md](onnx.md). Distances "
        "from pixel crops are measured on 192 windows of three photos of scikit-image (astronaut, camera, coffee), "
        "256 pixels high, prepared as the package's own code does it; most of these windows show no face. Differences "
        'are those of the class scores, in full units of probability; "moved" is that of crops moved by a few pixels. '
        "None of these networks has gates, so there is nothing to approximate. "
        f"Versions: {describe_versions(rows, VERSIONS)}.\n"
    )
    yield "| network | window | stride | tier | guarantee | error, onnxruntime | error, OpenVINO | seconds |"
    yield f"|{' --- |' * 8}"
    for row in rows:
        yield join_cells(_list_trained(row))
    yield ""
    yield "| network | border | mean difference | at most | moved | correlation | same class |"
    yield f"|{' --- |' * 7}"
    for row in rows:
        for border, found in row.get("borders", {}).items():
            yield join_cells((row["name"], border, *_list_distance(found)))


def _list_trained(row: Row) -> Iterable[Any]:
    if "tier" not in row:
        return (row["name"], row["outcome"], *["-"] * 6)
    errors = [_format_error(row, runtime) for runtime in _RUNTIMES]
    facts = (_format_size(row["window"]), _format_size(row["stride"]), row["tier"], row["guarantee"])
    return (row["name"], *facts, *errors, f"{row['convert_s']:.1f}")


def _list_distance(found: dict[str, Any]) -> Iterable[str]:
    if "windows" not in found:
        error = max(found["errors"].values())
        return (f"equal, relative error {error:.0e}", *["-"] * 4)
    moved = f"{found['moved_difference']:.2g} ({found['moved_px']} px)"
    agreement = "-" if found["top1_agreement"] is None else f"{found['top1_agreement']:.0%}"
    correlation = "-" if found["correlation"] is None else f"{found['correlation']:.3f}"
    return (f"{found['mean_difference']:.2g}", f"{found['max_difference']:.2g}", moved, correlation, agreement)
