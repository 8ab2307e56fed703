"""Tables for a terminal: a converted network, a check of one, timings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fullyconv.card import Border
from fullyconv.grid import Pair, format_size
from fullyconv.report.description import BORDERS, PROMISES, Description
from fullyconv.rewrite.report import TIERS, shorten

__all__ = ["count_scores", "lay_out_description", "make_facts", "make_table"]


def lay_out_description(description: Description, image_size: Pair | None = None) -> RenderableType:
    """Returns all about a converted network; with `image_size` also how many scores such an image has."""
    parts: list[RenderableType] = [make_facts(_list_facts(description, image_size))]
    if description.report.layers:
        parts.append(_make_layers(description))
    parts += [Text(f"approximated: {how}") for how in description.report.approximations]
    parts += [Text(f"because {reason}", style="dim") for reason in description.report.reasons]
    return Group(*parts)


def make_facts(facts: Iterable[tuple[str, str]]) -> Table:
    """Returns two columns: what, and how it is."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value))
    return table


def make_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> Table:
    """Returns a table whose first column is text and whose others are figures."""
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def count_scores(description: Description, image_size: Pair) -> str:
    """Returns how many scores an image of `(height, width)` pixels has, in words.

    Raises:
        ImageError: the image is smaller than the window.
    """
    rows, columns = description.grid.shape(image_size)
    return f"{columns} x {rows} = {rows * columns} (across x down)"


def _list_strides(description: Description) -> str:
    """Returns what the grid can be refined to, if to anything."""
    down, across = (", ".join(map(str, strides)) for strides in description.possible_strides_px)
    if all(len(strides) == 1 for strides in description.possible_strides_px):
        return ""
    return f"; --stride can be {across}" if down == across else f"; --stride can be {across} across, {down} down"


def _list_facts(description: Description, image_size: Pair | None) -> list[tuple[str, str]]:
    grid, card, report = description.grid, description.card, description.report
    facts = [
        (
            "window",
            f"{format_size(grid.window_px)} pixels, {card.channels} channel{'s'[: card.channels - 1]}",
        ),
        ("stride", f"{format_size(grid.stride_px)} pixels between scores{_list_strides(description)}"),
        ("feature window", f"{format_size(grid.feature_window)} cells"),
        ("classes", ", ".join(card.classes) or "not named"),
        ("background", card.background or "none"),
        ("activation", card.activation),
        ("preprocessing", _format_preprocessing(description)),
        ("tier", f"{report.tier}: {TIERS[report.tier]}"),
        ("guarantee", f"{report.guarantee}{_name_runs(card.border)}: {PROMISES[report.guarantee]}"),
        *((" ", reason) for reason in shorten(report.guarantee_reasons)),
        *([("border", BORDERS[card.border])] if report.guarantee_reasons or card.border != "image" else []),
        ("shared arithmetic", f"{report.shared_flops:.1%} of it runs once for all windows{_name_runs(card.border)}"),
        ("parameters", f"{description.parameters:,}"),
    ]
    if report.split:
        facts.append(("windows cut from", ", ".join(report.split)))
    if image_size is not None:
        facts.append((f"scores on {format_size(image_size)}", count_scores(description, image_size)))
    return facts


def _format_preprocessing(description: Description) -> str:
    how = description.card.preprocessing
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (how.mean, how.std))
    return f"{how.colour}, (value * {how.scale:.6g} - {mean}) / {std}"


def _make_layers(description: Description) -> Table:
    rows = [
        (layer.name, layer.kind, format_shape(layer.old_shape), format_shape(layer.new_shape), layer.note)
        for layer in description.report.layers
    ]
    table = make_table(("layer", "kind", "was", "is", "note"), rows, title="rewritten layers")
    for column in table.columns[1:]:
        column.justify = "left"
    return table


def format_shape(shape: Sequence[int] | None) -> str:
    """Returns a shape the way people write it; a dash for none."""
    return "x".join(str(size) for size in shape) if shape else "-"


def _name_runs(border: Border) -> str:
    """Returns what promises speak of where a score is the sum of several runs."""
    return ", in each of the runs that are summed" if border == "first-order" else ""
