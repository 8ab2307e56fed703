"""Rows -> a page: what converts and how, what each refusal to be convolutional costs, then every classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from page import join_cells, read_section, shorten_message
from rows import Row, describe_versions

from fullyconv.atomic import write_whole

TRAINED = "Trained weights"
VERSIONS = ("torch", "torchvision", "timm", "transformers")

_TRIED = ("right", "rounding", "wrong", "conversion failed", "check failed", "crash", "too slow", "too large")
_FAILED = _TRIED[1:]

# By what their weights take: of a small classifier, the conversion's own objects are most.
_SIZES = (
    ("under 10 MB", 0, 10e6),
    ("10 to 40 MB", 10e6, 40e6),
    ("40 to 160 MB", 40e6, 160e6),
    ("more", 160e6, float("inf")),
)

_MOST_TIMES = 3

# In float32: what the project promises.
_NEAR = 2e-5

_NO_REST = "feature windows, rest pixels: not checked"

_SIZES_TEXT = """On images with rest pixels these are no reference for feature windows, because the original's trunk is
another one there, or none; on images of whole strides it is the window's own.
"""

_MEMORY = """What a conversion takes, in MB: the weights, plus the process's peak above what it held with the classifier
loaded and run once. Each pair of figures is the median and the most; "times" is the peak in weights. A conversion runs
the classifier on two windows: "run" is what that alone takes, likewise with the weights, and no conversion takes less.

The first conversion of a process loads and first uses what torch.export needs, the same for every classifier. "Cold"
is such a first conversion, in a process that had loaded the classifiers' own libraries, which load part of that; in a
process that had loaded torch alone, the first conversion of a tiny network takes {libraries:.0f} MB. The columns before
"cold" are of processes that had converted a tiny network.
"""

_HEAD = """# Which classifiers convert

Made by `benchmarks/coverage.py`: every classifier is made with random weights (seed 0) under which its scores
depend on the image and on every layer, converted, and compared in float32 and float64 with both references, the
original on pixel crops and its head on patches of the feature map, on an image one stride higher than the window
and on a wider one with rest pixels. "Error" is the largest difference relative to the largest score over the
comparisons that the guarantee promises. Where a conversion computes weights, which a float32 network keeps rounded,
the float64 error is that of a conversion in float64. "Rounding" means equal in float64, but in float32 further
apart than verification allows. "Shared" is the share of the arithmetic that neighbouring windows share; the rest is
done for each window. Windows are smaller than the defaults where a network allows it, a few timm networks have fewer
blocks, and those of transformers are built small: that changes times and shares, not operations. Seconds are those
of `convert` alone, on 2 CPU cores, no GPU, with much other work running beside: they are upper bounds.
"""


_LOCAL = """## What is local and still runs on windows

The reasons in the tables name the first operation that cannot be shared. 58 classifiers have reasons that could hide
one that is local. Of 54 of them the graphs were read (the rest are larger torchvision Swins): none is exactly local
from end to end. Parts that are local, and run on windows all the same:

- Attention within blocks of cells (Swin and its kin, DaViT, TinyViT, EfficientViT-M, HaloNet with cells around them):
  sharing it would put windows whole blocks apart, on a coarser grid than that of the map before it. Shifted blocks, and
  tables of positions in the window, follow.
- Layers on cells folded into blocks, before attention over all of them (MobileViT); attention inside each patch (TNT),
  before a table of patch positions.
- A three-dimensional convolution over positions and channels (LambdaNet), before a sum over the window.

All others look at the whole window there (attention, squeeze-and-excitation, norms with statistics of the window, token
mixing, recurrence), or add or multiply by a table of positions in it.
"""


def write_table(rows: Sequence[Row], output: Path, *, listed: int, libraries_bytes: int) -> None:
    """Writes the page on what has been run so far of the `listed` classifiers, and what libraries take.

    Its section on trained weights is written by exports.py and stays as it is.
    """
    trained = read_section(output, TRAINED)
    with write_whole(output) as path:
        path.write_text("\n".join([*_write_page(rows, listed, libraries_bytes), *trained]).rstrip() + "\n")


def _write_page(rows: Sequence[Row], listed: int, libraries_bytes: int) -> Iterator[str]:
    rows = sorted(rows, key=lambda row: row["key"])
    yield _HEAD
    yield f"Run so far: {len(rows)} of {listed} listed classifiers. Versions: {describe_versions(rows, VERSIONS)}.\n"
    yield from _write_summary(rows)
    yield from _write_costs(rows)
    yield _LOCAL
    yield from _write_memory(rows, libraries_bytes)
    yield from _write_failures(rows)
    yield from _write_sizes(rows)
    for suite in dict.fromkeys(row["suite"] for row in rows):
        yield from _write_suite(suite, [row for row in rows if row["suite"] == suite])


def _write_summary(rows: Sequence[Row]) -> Iterator[str]:
    yield "## Summary\n"
    yield "| from | tried | right | rounding | wrong | failed | tier 1 | with crops | tier 2 | median shared there |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    suites = list(dict.fromkeys(row["suite"] for row in rows))
    for suite in [*suites, "all"]:
        yield _summarise(suite, [row for row in rows if suite in (row["suite"], "all") and row["outcome"] in _TRIED])
    yield ""


def _summarise(name: str, rows: Sequence[Row]) -> str:
    outcomes = Counter(row["outcome"] for row in rows)
    tiers = {tier: [row for row in rows if row.get("tier") == tier] for tier in (1, 2)}
    crops = sum(row["guarantee"] == "image crops" for row in tiers[1])
    failed = sum(outcomes[outcome] for outcome in _FAILED if outcome not in ("wrong", "rounding"))
    shared = f"{median(row['shared'] for row in tiers[2]):.0%}" if tiers[2] else "-"
    counts = (outcomes[outcome] for outcome in ("right", "rounding", "wrong"))
    cells = (name, len(rows), *counts, failed, len(tiers[1]), crops, len(tiers[2]), shared)
    return join_cells(cells)


def _write_costs(rows: Sequence[Row]) -> Iterator[str]:
    yield "## What it costs not to be convolutional\n"
    yield "Tier 2 by the reason of the first operation that runs on windows: how much of the arithmetic is shared.\n"
    yield "| reason | classifiers | shared: least | median | most |"
    yield "| --- | --- | --- | --- | --- |"
    by_reason: dict[str, list[float]] = {}
    for row in rows:
        if row.get("reasons"):
            by_reason.setdefault(_split_reason(row)[1], []).append(row["shared"])
    for reason, shares in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        figures = (f"{value:.0%}" for value in (min(shares), median(shares), max(shares)))
        yield join_cells((reason, len(shares), *figures))
    yield ""


def _write_memory(rows: Sequence[Row], libraries_bytes: int) -> Iterator[str]:
    """Yields what converting took at its peak, the classifier itself included, beside what its weights take."""
    yield f"## Memory of a conversion\n\n{_MEMORY.format(libraries=libraries_bytes / 1e6)}"
    yield "| weights | classifiers | run | conversion | times | cold | times |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, least, most in _SIZES:
        found = [row for row in rows if row.get("cold_bytes") and least <= row["weights_bytes"] < most]
        if found:
            kinds = ("run_bytes", "convert_bytes", "cold_bytes")
            peaks = {kind: [(row["weights_bytes"] + row[kind]) / 1e6 for row in found] for kind in kinds}
            yield join_cells((name, len(found), *_list_peaks(peaks, [row["weights_bytes"] / 1e6 for row in found])))
    yield f"\nOf {_MOST_TIMES} times their weights and more, with libraries loaded: {_list_above(rows) or 'none'}.\n"


def _list_above(rows: Sequence[Row]) -> str:
    """Returns the classifiers above the bound; small ones are left out, of which the fixed costs are most."""
    found = [row for row in rows if row.get("cold_bytes") and row["weights_bytes"] >= _SIZES[1][1]]
    times = [(1 + row["convert_bytes"] / row["weights_bytes"], row["name"]) for row in found]
    return ", ".join(f"{name} {ratio:.1f}" for ratio, name in sorted(times, reverse=True) if ratio >= _MOST_TIMES)


def _list_peaks(peaks: Mapping[str, Sequence[float]], weights: Sequence[float]) -> Iterator[str]:
    for kind, megabytes in peaks.items():
        yield f"{median(megabytes):.0f}, {max(megabytes):.0f}"
        if kind != "run_bytes":
            times = [peak / own for peak, own in zip(megabytes, weights, strict=True)]
            yield f"{median(times):.1f}, {max(times):.1f}"


def _write_sizes(rows: Sequence[Row]) -> Iterator[str]:
    """Yields what was compared at whole strides only, with the reason; crops are compared at every size."""
    found = {
        row["name"]: next((note for note in row["notes"] if note.startswith(_NO_REST)), "")
        for row in rows
        if row.get("guarantee") == "feature windows" and "notes" in row
    }
    other = [name for name, note in found.items() if "RouteError" in note]
    refused = [name for name, note in found.items() if note and "RouteError" not in note]
    yield f"## Compared at whole strides only\n\n{_SIZES_TEXT}"
    yield f"- Its padding follows the image's size: {', '.join(other) or 'none'}."
    yield f"- It does not run there: {', '.join(refused) or 'none'}.\n"


def _write_failures(rows: Sequence[Row]) -> Iterator[str]:
    failed = [row for row in rows if row["outcome"] in _FAILED]
    other = [row for row in rows if row["outcome"] not in _TRIED]
    yield "## Wrong, failed, or beyond the tolerance of float32\n"
    yield from [f"- {_describe_failure(row)}" for row in failed] or ["None."]
    yield f"\nRight, and further than {_NEAR:.0e} in float32, as the original's own rounding is: {_list_far(rows)}.\n"
    yield "## Not tried\n"
    yield from [f"- {_describe_failure(row)}" for row in other] or ["None."]
    yield ""


def _list_far(rows: Sequence[Row]) -> str:
    """Returns what is further from the original in float32 than it should be, and how far the original may be."""
    right = [(row, _find_error(row, "float32") or 0.0) for row in rows if row["outcome"] == "right"]
    far = [
        f"{row['name']} {error:.1e}, allowed {row['tolerances']['float32']:.0e}"
        for row, error in right
        if error > _NEAR
    ]
    return "; ".join(far) or "none"


def _describe_failure(row: Row) -> str:
    return f"{row['key']}: {row['outcome']}: {shorten_message(str(row.get('message', '')))}"


def _write_suite(suite: str, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {suite}\n"
    yield "| model | window | tier | guarantee | error fp32 | fp64 | shared | seconds | windowed because of |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        if row["outcome"] in _TRIED:
            yield join_cells(_list_cells(row))
    yield ""


def _list_cells(row: Row) -> Iterable[Any]:
    if "tier" not in row:
        return (row["name"], _format_window(row), row["outcome"], *["-"] * 6)
    errors = [_format_error(row, dtype) for dtype in ("float32", "float64")]
    node, reason = _split_reason(row)
    why = f"`{node}`: {reason}" if reason else ""
    tier = row["tier"] if row["outcome"] == "right" else f"{row['tier']} **{row['outcome']}**"
    seconds = f"{row['convert_s']:.1f}"
    return (row["name"], _format_window(row), tier, row["guarantee"], *errors, f"{row['shared']:.0%}", seconds, why)


def _format_window(row: Row) -> str:
    return f"{row['window'][1]}x{row['window'][0]}" if "window" in row else "-"


def _format_error(row: Row, dtype: str) -> str:
    error = _find_error(row, dtype)
    window_only = "" if row.get("beyond_window") else " (window only)"
    return "-" if error is None else f"{error:.1e}{window_only}"


def _find_error(row: Row, dtype: str) -> float | None:
    errors = [by_dtype[dtype] for by_dtype in row.get("errors", {}).values() if dtype in by_dtype]
    return max(errors, default=None)


def _split_reason(row: Row) -> tuple[str, str]:
    first = next(iter(row.get("reasons", ())), "")
    node, _, reason = first.partition(": ")
    return node, reason
