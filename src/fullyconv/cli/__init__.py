"""The command line: parse, call the library, print. One file a command, imported only when it is used.

Exit codes:
    0    done
    1    `verify` failed, or some images of a batch, or tiles of a scan, failed while the others were done
    2    bad input: one line on stderr says what was expected, what came and what to do
    130  interrupted

Anything else that goes wrong is a bug in fullyconv and is shown with its traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from fullyconv import __version__
from fullyconv.errors import FullyconvError

__all__ = ["COMMANDS", "app", "main"]

COMMANDS = {
    "train": "Train a classifier on a folder of crops.",
    "convert": "Turn a classifier into a network for images of any size.",
    "verify": "Check that a converted network gives what its classifier gives.",
    "inspect": "Show what a converted network expects, promises and shares.",
    "tradeoff": "Measure where to split a padded network: what it costs, how near to crops it comes.",
    "detect": "Find objects in large images: boxes, scores and heat maps.",
    "scan": "Write the scores of slides and scenes larger than memory; go on after a crash; use a cluster.",
    "export": "Write a scan as GeoTIFF, boxes for QuPath, a table or a picture.",
    "demo": "Do all of it on a small face data set, and write a page about it.",
}


app = App(
    name="fullyconv",
    help="Turns an image classifier trained on crops into an equivalent network for images of any size.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
for _name, _summary in COMMANDS.items():
    app.command(f"fullyconv.cli.{_name}:{_name}", name=_name, help=_summary)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        arguments: what follows `fullyconv`; None takes it from the process.
    """
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except (FullyconvError, CycloptsError) as error:
        return _complain(str(error), 2)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        # The reader has gone (as with `| head`); Python must not complain about it again while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: Sequence[str]) -> int:
    result = app(list(arguments), exit_on_error=False, print_error=False, result_action="return_value")
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int) -> int:
    print(f"fullyconv: {' '.join(message.split())}", file=sys.stderr)
    return code
