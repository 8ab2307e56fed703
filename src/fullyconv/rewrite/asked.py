"""What the user wants of a conversion."""

from __future__ import annotations

from dataclasses import dataclass

from fullyconv.graph import Pair


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants of the plan; see `convert`."""

    stride: Pair | None = None
    windowed_from: str | None = None
    approximate: frozenset[str] = frozenset()
