"""What people are told about tiles that could not be done."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

_SHOWN = 10


def report_tiles(image: Path, failures: Sequence[str], *, more: str = "") -> None:
    """Prints why tiles of an image failed, and what to do, to stderr; nothing if none did.

    Args:
        image: the image.
        failures: one line for each tile, with where it lies.
        more: what follows the number of those that are not shown.
    """
    if not failures:
        return
    lines = [f"fullyconv: {image}: {len(failures)} tiles could not be done:"]
    lines += [f"  {message}" for message in failures[:_SHOWN]]
    if len(failures) > _SHOWN:
        lines.append(f"  and {len(failures) - _SHOWN} more{more}")
    lines.append("  give the same command with --retry-failed to run only these")
    print(*lines, sep="\n", file=sys.stderr)
