"""`fullyconv convert`: a classifier becomes a network for images of any size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fullyconv.cli.card_options import CardOptions
from fullyconv.cli.rewrite_options import RewriteOptions

Layout = Literal["nchw", "nhwc"]
_CARD, _REWRITE = CardOptions(), RewriteOptions()


def convert(  # noqa: PLR0913 - one for each option; two are flattened settings
    source: str,
    /,
    *,
    window: str | None = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    weights: Path | None = None,
    bind: Annotated[list[str] | None, Parameter(negative=())] = None,
    layout: Layout | None = None,
    card: CardOptions = _CARD,
    rewrite: RewriteOptions = _REWRITE,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Turns a classifier of fixed-size crops into a network for images of any size, without retraining.

    Args:
        source: a .pt2 file (torch.export), an .onnx file, a .t7 file (Torch7), or module:factory importable from the
            current directory.
        window: the crop size it was trained on, as WIDTHxHEIGHT; may be left out where the file says it.
        output: the file to write: dense.pt2 for PyTorch, dense.onnx for any runtime.
        weights: for module:factory, a .safetensors file or a weights-only .pt file.
        bind: for an .onnx file: a value for an input beside the image, as name=value or name=a,b,c; may be given
            several times.
        layout: for an .onnx file: nchw or nhwc, how it has its images, where that does not show.
        card: what to put on the model card.
        rewrite: how to convert.
        as_json: print the report as JSON and nothing else.
    """
    import fullyconv
    from fullyconv.atomic import use_folder
    from fullyconv.capture.onnx_model import OnnxModel
    from fullyconv.capture.source import open_source
    from fullyconv.cli.output import print_json, print_rich
    from fullyconv.errors import OptionError
    from fullyconv.grid import parse_size
    from fullyconv.report.description import describe
    from fullyconv.report.tables import lay_out_description

    size = None if window is None else parse_size(window)
    arguments = rewrite.to_arguments()
    with use_folder(output.parent):
        model, source_card = open_source(source, weights, bind or (), layout)
        if size is None and source_card is None and not isinstance(model, OnnxModel):
            raise OptionError(f"{source}: does not say its window; give --window WIDTHxHEIGHT")
        dense = fullyconv.convert(model, window=size, card=source_card, **arguments)
        dense = replace(dense, card=card.amend(dense.card))
        dense.save(output)
    if as_json:
        print_json(describe(dense).to_dict())
    else:
        print_rich(lay_out_description(describe(dense)), f"written to {output}")
