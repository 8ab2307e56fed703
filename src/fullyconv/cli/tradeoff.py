"""`fullyconv tradeoff`: where to split a network, with what it costs and how near to crops it comes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from fullyconv.verify.tradeoff import SplitPoint


def tradeoff(  # noqa: PLR0913 - one for each option
    source: str,
    images: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    window: str | None = None,
    weights: Path | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    splits: int = 8,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Measures on images what each split of a network costs and how near to pixel crops its scores are.

    Args:
        source: the classifier: a .pt2 or .t7 file, or module:factory importable from the current directory.
        images: images or folders to measure on.
        window: the crop size it was trained on, as WIDTHxHEIGHT; may be left out where the file says it.
        weights: for module:factory, a .safetensors file or a weights-only .pt file.
        output: a picture to write, such as tradeoff.png.
        splits: how many places to try at most.
        as_json: print JSON and nothing else.
    """
    from dataclasses import asdict

    from fullyconv.atomic import make_folder
    from fullyconv.capture.source import load_source
    from fullyconv.cli.output import print_json, print_rich
    from fullyconv.errors import OptionError
    from fullyconv.grid import parse_size
    from fullyconv.images import find_images
    from fullyconv.report.tables import make_table
    from fullyconv.verify.tradeoff import TradeoffSettings, measure_tradeoff

    if output is not None:
        make_folder(output.parent)
    paths = list(find_images(images))
    module, card = load_source(source, weights)
    size = parse_size(window) if window else card.window if card else None
    if size is None:
        raise OptionError(f"{source}: does not say its window; give --window WIDTHxHEIGHT")
    points = measure_tradeoff(module, size, paths, card=card, settings=TradeoffSettings(splits=splits))
    if output is not None:
        _draw(points, output)
    if as_json:
        print_json([asdict(point) for point in points])
        return
    head = ("windows from", "million products a window", "shared", "mean difference", "correlation", "same class")
    print_rich(make_table(head, [_write_row(point) for point in points]))
    print_rich(
        f"{points[0].windows} windows compared with pixel crops. fullyconv convert --windowed-from NAME splits there; "
        "the last row needs no option."
    )


def _write_row(point: SplitPoint) -> tuple[str, ...]:
    def percent(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    correlation = "-" if point.correlation is None else f"{point.correlation:.4f}"
    return (
        point.windowed_from or "(latest)",
        f"{point.macs_per_window / 1e6:.4g}",
        percent(point.shared),
        f"{point.mean_difference:.3g}",
        correlation,
        percent(point.top1_agreement),
    )


def _draw(points: tuple[SplitPoint, ...], output: Path) -> None:
    from PIL import Image

    from fullyconv.atomic import write_whole
    from fullyconv.report.plot import plot_points

    chart = plot_points(
        [(point.macs_per_window / 1e6, point.mean_difference, point.windowed_from or "dense") for point in points],
        x_label="million multiply-accumulates for each score, logarithmic",
        y_label="mean difference of scores from pixel crops",
        title="Where to split: arithmetic against nearness to crops",
    )
    with write_whole(output) as part:
        Image.fromarray(chart).save(part)
