"""`fullyconv verify`: does a converted network give what its classifier gives?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from fullyconv.cli.grid_options import GridOptions
from fullyconv.cli.runtime_options import RuntimeOptions

_AS_CONVERTED, _AS_IT_IS = GridOptions(), RuntimeOptions()


def verify(  # noqa: PLR0913 - one for each option
    dense: Path,
    images: Annotated[list[Path] | None, Parameter(negative=())] = None,
    /,
    *,
    against: str,
    weights: Path | None = None,
    bind: Annotated[list[str] | None, Parameter(negative=())] = None,
    layout: Literal["nchw", "nhwc"] | None = None,
    grid: GridOptions = _AS_CONVERTED,
    runtime: RuntimeOptions = _AS_IT_IS,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Compares a converted network with the classifier it came from; exit code 1 says that they differ.

    Args:
        dense: a file that `fullyconv convert` wrote.
        images: images or folders to compare on; its own random ones if none are given.
        against: the classifier: a .pt2, .onnx or .t7 file, or module:factory importable from the current directory.
        weights: for module:factory, a .safetensors file or a weights-only .pt file.
        bind: for an .onnx file: a value for an input beside the image, as name=value.
        layout: for an .onnx file: nchw or nhwc, how it has its images, where that does not show.
        grid: the grid to check, and where padding is while the distance from crops is measured.
        runtime: what runs the network; what it gives is checked, and float64 by torch as ever.
        as_json: print JSON and nothing else.
    """
    import fullyconv
    from fullyconv.capture.source import open_source

    model, _ = open_source(against, weights, bind or (), layout)
    network = fullyconv.load(dense)
    network = runtime.place(grid.apply(network))
    if network.choice is not None:
        print(f"fullyconv: {network.choice}", file=sys.stderr)
    report = fullyconv.verify(network, model, images=_find(images))
    print(report.to_json() if as_json else report)
    return 0 if report.passed else 1


def _find(images: list[Path] | None) -> list[Path] | None:
    from fullyconv.images import find_images

    return list(find_images(images)) if images else None
