"""Which network a scan runs, in a form that another process, or another machine, can open for itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import fullyconv
from fullyconv.card import Border
from fullyconv.errors import ModelError
from fullyconv.grid import Pair
from fullyconv.runtime.specification import Precision
from fullyconv.scan.scorer import DenseScorer


@runtime_checkable
class NetworkSpec(Protocol):
    """Which network; frozen, hashable, and pickles where other processes are to open it."""

    def open(self) -> DenseScorer:
        """Returns the network, ready to run."""
        ...

    def identify(self) -> dict[str, str]:
        """Returns what its scores depend on, name by name."""
        ...


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A converted network in a file, and how it is to be run.

    Attributes:
        path: of the file; absolute, so that it means the same to every process.
        stride: pixels between neighbouring scores, `(y, x)`; None as it was converted.
        border: where padding is; None as it was converted.
        runtime: what runs it, by name, never "auto": every worker must run the same; None for the file's own.
        precision: exact or fast.
        device: cpu or cuda; None for the CPU.
        max_error: how far another runtime's scores may be off; None for the default.
    """

    path: str
    stride: Pair | None = None
    border: Border | None = None
    runtime: str | None = None
    precision: Precision = "exact"
    device: str | None = None
    max_error: float | None = None

    def open(self) -> DenseScorer:
        """Returns the network.

        Raises:
            ModelError: the file is missing or no converted network.
            OptionError: it cannot have this stride, border or runtime.
        """
        dense = fullyconv.load(self.path)
        dense = dense if self.stride is None else dense.refine(self.stride)
        dense = dense if self.border is None else dense.with_border(self.border)
        if self.runtime is None:
            return dense
        return dense.on(self.runtime, precision=self.precision, device=self.device, max_error=self.max_error)

    def identify(self) -> dict[str, str]:
        """Returns what its scores depend on: the file's content, not where it lies, and how it is run.

        Raises:
            ModelError: the file is missing.
        """
        return {
            "network": hash_files(Path(self.path)),
            "stride": str(self.stride or "as converted"),
            "border": str(self.border or "as converted"),
            "runtime": f"{self.runtime or 'the file'}, {self.precision}",
        }


@dataclass(frozen=True, slots=True)
class LoadedNetwork:
    """A network that is in memory already, for scans in this process.

    Attributes:
        dense: the network.
        name: what its scores are to be known by, such as a version of its weights.
    """

    dense: DenseScorer
    name: str

    def open(self) -> DenseScorer:
        """Returns the network."""
        return self.dense

    def identify(self) -> dict[str, str]:
        """Returns its name and its grid."""
        return {"network": self.name, "grid": str(self.dense.grid)}


def hash_files(path: Path) -> str:
    """Returns a hash of a network's file and of those that belong to it: other parts, weights kept apart.

    Raises:
        ModelError: the file is missing.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such network; fullyconv convert writes one")
    found = hashlib.sha256()
    belonging = (other for other in path.parent.glob(f"{path.stem}.*") if other != path and _belongs(other))
    for part in (path, *sorted(belonging)):
        with part.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()[:16]


def _belongs(path: Path) -> bool:
    return path.is_file() and path.name.endswith((".head.onnx", ".onnx.data"))
