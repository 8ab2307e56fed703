"""How commands print: results on stdout, as tables for people or as JSON alone for machines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def print_json(value: Any) -> None:
    """Writes `value` to stdout as JSON; tuples become lists."""
    json.dump(value, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def print_rich(*parts: RenderableType) -> None:
    """Writes tables and texts to stdout, plain where it is no terminal."""
    from rich.console import Console

    console = Console(highlight=False)
    for part in parts:
        console.print(part)
