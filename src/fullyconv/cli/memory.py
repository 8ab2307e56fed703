"""Amounts of memory as people write them."""

from __future__ import annotations

import re

from fullyconv.errors import OptionError

_UNITS = {"": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30}


def parse_memory(text: str) -> int:
    """Returns bytes.

    >>> parse_memory("2GB"), parse_memory("512 mb"), parse_memory("100000")
    (2147483648, 536870912, 100000)

    Raises:
        OptionError: it is not an amount of memory.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(kb|mb|gb|)", text.strip().lower())
    if match is None:
        raise OptionError(f"--memory: expected an amount such as 512MB or 2GB, got {text!r}")
    return int(float(match[1]) * _UNITS[match[2]])
