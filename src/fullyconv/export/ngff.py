"""What makes a finished score map one that viewers open over its image: see `fullyconv.scan.multiscales`."""

from __future__ import annotations

from fullyconv.report.colour import choose_class_colour
from fullyconv.scan.description import ScanDescription
from fullyconv.scan.multiscales import Channel, ScaleView, write_multiscales
from fullyconv.scan.placement import Placement
from fullyconv.scan.score_store import ScoreStore, report_writing

# Viewers add the colours of all channels: more at once are no longer told apart.
_SHOWN = 6


def add_multiscales(store: ScoreStore) -> int:
    """Adds coarser levels and NGFF's metadata to a score map that is open to write; returns how many levels it has.

    Raises:
        OutputError: they cannot be written.
    """
    with report_writing(store.path):
        return write_multiscales(store.group, describe_view(store.description))


def describe_view(description: ScanDescription) -> ScaleView:
    """Returns how viewers are to show a score map: each class in its colour, the background not at first."""
    background, image = description.card.background, description.image
    return ScaleView(
        name="scores",
        placement=place(description),
        channels=tuple(
            Channel(name, choose_class_colour(index), is_shown=name != background and index < _SHOWN)
            for index, name in enumerate(description.outputs)
        ),
        microns_per_pixel=image.microns_per_pixel,
        limits=None if description.card.activation == "none" else (0.0, 1.0),
    )


def place(description: ScanDescription) -> Placement:
    """Returns where the cells of a score map lie."""
    return Placement(description.grid, description.image.size, description.image.downsample)
