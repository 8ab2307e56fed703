"""Rows and sentences that the terminal and the page share."""

from __future__ import annotations

from fullyconv.demo.result import DemoResult, Looked
from fullyconv.demo.timing import ThreeWays
from fullyconv.grid import format_size

LOOKED_HEAD = ("photo", "size", "windows", "seconds", "false boxes")
WAYS_HEAD = ("way", "time", "ratio")


def list_ways(comparison: ThreeWays) -> list[tuple[str, str, str]]:
    """Returns a row for each way: what, median time, ratio."""
    return [
        (
            "one crop at a time",
            _format_seconds(comparison.one_by_one_s),
            f"{comparison.one_by_one_ratio:.1f}",
        ),
        (
            f"crops in batches of {comparison.batch}",
            _format_seconds(comparison.batched_s),
            f"{comparison.batched_ratio:.1f}",
        ),
        ("converted network", _format_seconds(comparison.converted_s), "1"),
    ]


def list_looked(result: DemoResult) -> list[tuple[str, ...]]:
    """Returns a row for each photo that was searched, and their sum."""
    rows = [_list_one(looked) for looked in (result.portrait, *result.held_out)]
    total = (
        "held-out photos together",
        "",
        f"{result.held_out_windows:,}",
        "",
        str(result.held_out_false_boxes),
    )
    return [*rows, total]


def explain_comparison(comparison: ThreeWays) -> str:
    """Returns what was compared, how, and how far the scores are apart."""
    rows, columns = comparison.grid_shape
    window, image = format_size(comparison.window), format_size(comparison.image_size)
    return (
        f"{columns} x {rows} = {comparison.windows:,} windows of {window} on an image of {image}. "
        f"Medians of {comparison.rounds} rounds, the three ways in turn. The windows hold "
        f"{comparison.arithmetic_ratio:.1f} times the pixels of the image. Largest difference of a score, "
        f"relative to the largest score: {comparison.max_relative_error:.1e}."
    )


def explain_worked(result: DemoResult) -> str:
    """Returns how equal the 403 scores are, against crops and patches, in both precisions."""
    worked = result.worked
    height, width = worked.feature_map
    return (
        f"Feature map {width} x {height}. All {worked.comparison.windows} scores, which lie between "
        f"{worked.scores.min():.3f} and {worked.scores.max():.3f}, equal the classifier on pixel "
        f"crops to {worked.comparison.max_relative_error:.1e} (float32) and {worked.crops_error_fp64:.1e} "
        f"(float64), and the original head on patches of the feature map to {worked.patches_error:.1e} and "
        f"{worked.patches_error_fp64:.1e}."
    )


def explain_face(portrait: Looked) -> str:
    """Returns whether the face is the best box, and how many others there are."""
    if portrait.face_rank is None:
        return f"The face was not found; {count(portrait.false_boxes, 'false box')}."
    place = "the top-scoring box" if portrait.face_rank == 1 else f"box {portrait.face_rank} by score"
    score = portrait.boxes[portrait.face_rank - 1].score
    others = count(portrait.false_boxes, "false box")
    return f"The face is {place}, with a score of {score:.3f}; {others} beside it."


def explain_held_out(result: DemoResult) -> str:
    """Returns how many false boxes there are on photos without a face."""
    clean = sum(looked.false_boxes == 0 for looked in result.held_out)
    found = count(result.held_out_false_boxes, "false box")
    return (
        f"{found} on {len(result.held_out)} held-out photos without a face, "
        f"among {result.held_out_windows:,} windows; {clean} of the photos have none."
    )


def count(number: int, noun: str) -> str:
    """Returns the number with its noun.

    >>> count(1, "false box"), count(0, "false box"), count(2, "window")
    ('1 false box', '0 false boxes', '2 windows')
    """
    plural = noun + ("es" if noun.endswith("x") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def _list_one(looked: Looked) -> tuple[str, ...]:
    false_boxes = str(looked.false_boxes)
    return (
        looked.name,
        format_size(looked.size),
        f"{looked.windows:,}",
        f"{looked.seconds:.2f}",
        false_boxes,
    )


def _format_seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
