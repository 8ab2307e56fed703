"""`fullyconv inspect`: what a converted network expects, promises and shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def inspect(
    dense: Path,
    /,
    *,
    image: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Shows what a converted network expects, promises and shares.

    Args:
        dense: a file that `fullyconv convert` wrote.
        image: an image size as WIDTHxHEIGHT; also says how many scores such an image has.
        as_json: print JSON and nothing else.
    """
    import fullyconv
    from fullyconv.cli.output import print_json, print_rich
    from fullyconv.grid import parse_size
    from fullyconv.report.description import describe
    from fullyconv.report.tables import lay_out_description

    size = None if image is None else parse_size(image)
    description = describe(fullyconv.load(dense))
    if as_json:
        scores = {} if size is None else {"image": size, "scores": description.grid.shape(size)}
        print_json(description.to_dict() | scores)
    else:
        print_rich(lay_out_description(description, size))
