"""`fullyconv convert`: a classifier becomes a network for images of any size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from fullyconv.cli.card_options import CardOptions
from fullyconv.cli.rewrite_options import RewriteOptions

_CARD, _REWRITE = CardOptions(), RewriteOptions()


def convert(  # noqa: PLR0913 - one for each option; two are flattened settings
    source: str,
    /,
    *,
    window: str | None = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    weights: Path | None = None,
    card: CardOptions = _CARD,
    rewrite: RewriteOptions = _REWRITE,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Turns a classifier of fixed-size crops into a network for images of any size, without retraining.

    Args:
        source: a .pt2 file (torch.export) or .t7 file (Torch7), or module:factory importable from the current
            directory.
        window: the crop size it was trained on, as WIDTHxHEIGHT; may be left out where the file says it.
        output: the file to write, such as dense.pt2.
        weights: for module:factory, a .safetensors file or a weights-only .pt file.
        card: what to put on the model card.
        rewrite: how to convert.
        as_json: print the report as JSON and nothing else.
    """
    import fullyconv
    from fullyconv.atomic import use_folder
    from fullyconv.capture.source import load_source
    from fullyconv.cli.output import print_json, print_rich
    from fullyconv.errors import OptionError
    from fullyconv.grid import parse_size
    from fullyconv.report.description import describe
    from fullyconv.report.tables import lay_out_description

    size = None if window is None else parse_size(window)
    arguments = rewrite.to_arguments()
    with use_folder(output.parent):
        module, source_card = load_source(source, weights)
        if size is None and source_card is None:
            raise OptionError(f"{source}: does not say its window; give --window WIDTHxHEIGHT")
        dense = fullyconv.convert(module, window=size, card=source_card, **arguments)
        dense = replace(dense, card=card.amend(dense.card))
        dense.save(output)
    if as_json:
        print_json(describe(dense).to_dict())
    else:
        print_rich(lay_out_description(describe(dense)), f"written to {output}")
