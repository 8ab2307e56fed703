"""The two interfaces that runtimes have: of a whole dense network, and of an ONNX model within one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from torch import Tensor

from fullyconv.capture.onnx_session import Array
from fullyconv.card import Border

if TYPE_CHECKING:
    import onnx_ir as ir


class Runner(Protocol):
    """Runs a dense network on an array, wherever and however; images and scores lie where the caller has them."""

    def __call__(self, images: Tensor) -> Any:
        """Returns the scores of all windows of `(N, C, H, W)`, in the model's structure, `(N, K, Gy, Gx)` each."""

    def logits(self, images: Tensor) -> Any:
        """Returns the scores before the model's last softmax or sigmoid; the scores where there is none."""

    def with_border(self, border: Border) -> Self:
        """Returns the network with its padding elsewhere, on the same weights."""

    def with_window_memory(self, memory_bytes: int) -> Self:
        """Returns the network with other batches of windows, on the same weights."""


class Session(Protocol):
    """An ONNX model, ready to run."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of its inputs."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of its outputs."""

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> dict[str, Array]:
        """Returns outputs by name, all where `names` is None."""


class OpenSession(Protocol):
    """Makes a session of a model, which is not changed."""

    def __call__(self, model: ir.Model, *, extra_outputs: Sequence[str] = ()) -> Session:
        """Returns the session; `extra_outputs` are values of the graph that are to be outputs too."""
