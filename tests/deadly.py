"""An image that kills whoever reads a part of it: once, or each time."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from fullyconv.grid import Pair
from fullyconv.images.array_source import ArraySpec
from fullyconv.images.source import Pixels, Source, SourceSpec


@dataclass(frozen=True, eq=False)
class DeadlySpec:
    """An array, in which reading the pixel `at` kills the process; only the first time if there is a `marker`."""

    array: ArraySpec
    at: Pair
    marker: Path | None = None

    @property
    def bands(self) -> None:
        return None

    @property
    def name(self) -> str:
        return "deadly"

    def identify(self) -> str:
        return self.array.identify()

    def open(self) -> Source:
        return _DeadlySource(self)  # type: ignore[return-value]


class _DeadlySource:
    def __init__(self, spec: DeadlySpec) -> None:
        self._spec = spec
        self._source = spec.array.open()

    def __getattr__(self, name: str) -> object:
        return getattr(self._source, name)

    def read(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        inside = all(
            start <= at < start + length for at, start, length in zip(self._spec.at, origin_yx, size, strict=True)
        )
        if inside and not (self._spec.marker and self._spec.marker.exists()):
            if self._spec.marker is not None:
                self._spec.marker.write_text("once")
            os.kill(os.getpid(), signal.SIGKILL)
        return self._source.read(level, origin_yx, size)


__all__ = ["DeadlySpec", "SourceSpec"]
