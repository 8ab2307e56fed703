"""`fullyconv demo`: the whole path on pictures that scikit-image brings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

_FOLDER = Path("fullyconv-demo")


def demo(*, output: Annotated[Path, Parameter(name=["--output", "-o"])] = _FOLDER, seed: int = 0) -> None:
    """Trains, converts, verifies and detects faces, times it, and writes a page about it, in minutes.

    Args:
        output: the folder for models, pictures and the page.
        seed: of training.
    """
    from fullyconv.atomic import make_folder
    from fullyconv.cli.output import print_rich

    make_folder(output)
    from fullyconv.demo.run import run_demo
    from fullyconv.demo.terminal import lay_out_result

    result = run_demo(output, seed=seed, say=_say)
    print_rich(*lay_out_result(result), f"The page: {(output / 'index.html').resolve().as_uri()}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
