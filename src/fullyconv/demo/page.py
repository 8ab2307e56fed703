"""The demo's page: what was done, what came out, how long it took, and what went wrong."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from fullyconv.demo.phrases import (
    LOOKED_HEAD,
    WAYS_HEAD,
    count,
    explain_comparison,
    explain_face,
    explain_held_out,
    explain_worked,
    list_looked,
    list_ways,
)
from fullyconv.demo.pictures import draw_sheet, draw_windows
from fullyconv.demo.result import DemoResult, Looked
from fullyconv.report.description import PROMISES
from fullyconv.report.html import Page, Section, make_figure, make_figures, make_table, make_text
from fullyconv.report.tables import format_shape


def lay_out_page(result: DemoResult, crops: Path) -> Page:
    """Returns the page; `crops` is the folder that training read."""
    return Page(
        title="From 200 small crops to a face in a large photo",
        lead="A classifier that has only ever seen 25x25 crops, turned into a network that scores a whole "
        "image in one run. Nothing was trained again for that, and the scores are the same numbers.",
        facts=_list_facts(result),
        sections=(
            _tell_detection(result),
            _tell_time(result),
            _tell_equality(result),
            _tell_training(result, crops),
            _tell_held_out(result),
            _tell_worked(result),
            _tell_conditions(result),
        ),
    )


def _list_facts(result: DemoResult) -> tuple[tuple[str, str], ...]:
    comparison, worked = result.comparison, result.worked.comparison
    rank = result.portrait.face_rank
    return (
        ("1st" if rank == 1 else "not 1st", "place of the face among the boxes on the portrait"),
        (f"{comparison.batched_ratio:.0f}x", f"faster than batched crops, for {comparison.windows:,} scores"),
        (
            f"{comparison.max_relative_error:.0e}".replace("e-0", "e-"),
            "largest relative difference from the crops' scores",
        ),
        (str(worked.windows), "scores of the worked example, all equal to their crops'"),
        (str(result.held_out_false_boxes), f"false boxes on {len(result.held_out)} photos without a face"),
    )


def _tell_detection(result: DemoResult) -> Section:
    portrait = result.portrait
    figure = make_figure(
        portrait.picture,
        alt=f"Portrait of an astronaut with {count(len(portrait.boxes), 'box')} and a heat map of the scores",
        caption=f"{portrait.windows:,} windows over all scales in {portrait.seconds:.2f} s. "
        "Warm colours: high scores. Boxes: what remains above 0.5 after non-maximum suppression.",
    )
    return Section("The portrait", (make_text(explain_face(portrait)), figure))


def _tell_time(result: DemoResult) -> Section:
    table = make_table(WAYS_HEAD, list_ways(result.comparison), caption="The same scores in three ways")
    return Section("Time for the same scores", (make_text(explain_comparison(result.comparison)), table))


def _tell_equality(result: DemoResult) -> Section:
    report = result.description.report
    rows = [
        (layer.name, layer.kind, format_shape(layer.old_shape), format_shape(layer.new_shape))
        for layer in report.layers
    ]
    errors = [(name, f"{error:.1e}") for name, error in result.verified]
    promise = f"Guarantee, {report.guarantee}: {PROMISES[report.guarantee]}."
    return Section(
        "Why the scores are the same",
        (
            make_text(
                "A fully connected layer over the feature map of a crop is a convolution with a kernel as "
                "large as that map. So its weights are kept and only laid out differently."
            ),
            make_table(("layer", "kind", "was", "is"), rows, caption="Rewritten layers"),
            make_text(promise),
            make_table(("verify compared with", "largest relative error"), errors),
        ),
    )


def _tell_training(result: DemoResult, crops: Path) -> Section:
    faces, others = (sorted((crops / name).iterdir())[:30] for name in ("face", "other"))
    figures = make_figures(
        (
            make_figure(draw_sheet(faces), alt="Thirty small grey pictures of faces", caption="30 of 100 faces"),
            make_figure(draw_sheet(others), alt="Thirty small grey pictures without faces", caption="30 of 100 others"),
        )
    )
    text = (
        f"200 grey crops, a small network without padding, and rounds of negatives: after each round the "
        f"converted network searched {result.negatives} photos without a face, and its false boxes joined "
        f"the crops. {result.training_s:.0f} s in all; {result.validation_accuracy:.1%} of the validation "
        "crops are right."
    )
    return Section("Training", (make_text(text), figures))


def _tell_held_out(result: DemoResult) -> Section:
    figures = make_figures(_make_thumbnail(looked) for looked in result.held_out)
    note = (
        "200 crops are few. Whoever needs fewer false boxes gives more crops, more photos without the "
        "object, or a higher threshold."
    )
    table = make_table(LOOKED_HEAD, list_looked(result), caption="All photos that were searched, threshold 0.5")
    return Section(
        "False boxes, honestly",
        (make_text(explain_held_out(result)), figures, make_text(note, note=True), table),
    )


def _tell_worked(result: DemoResult) -> Section:
    comparison = result.worked.comparison
    figure = make_figure(
        draw_windows(result.worked),
        alt="A photo of a motorcycle with 403 dots in 31 columns and 13 rows, and three window outlines",
        caption="A dot for every window's centre, larger for a higher score; three windows drawn out. "
        "The weights are random: this example is about equal numbers and time.",
    )
    return Section(
        "The worked example: 64x128 on 1024x512",
        (
            make_text(explain_worked(result)),
            figure,
            make_text(explain_comparison(comparison)),
            make_table(WAYS_HEAD, list_ways(comparison), caption="403 scores in three ways"),
        ),
    )


def _tell_conditions(result: DemoResult) -> Section:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "pillow"))
    text = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {libraries}. "
        f"Seed {result.seed}. The whole demo took {result.total_s:.0f} s. All pictures come with "
        "scikit-image. Boxes on the face count as right from an intersection over union of 0.3 on."
    )
    return Section("Conditions", (make_text(text),))


def _make_thumbnail(looked: Looked) -> str:
    found = count(looked.false_boxes, "false box")
    return make_figure(
        looked.picture,
        alt=f"The photo {looked.name} with {found}",
        caption=f"{looked.name}: {found} in {looked.windows:,} windows",
        width_px=480,
    )
