"""What scanning asks of a dense network, and which of its outputs it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from fullyconv.card import ModelCard
from fullyconv.errors import ModelError, OptionError
from fullyconv.grid import Grid
from fullyconv.rewrite.report import ConversionReport
from fullyconv.scan.tiles import Margins


class DenseScorer(Protocol):
    """What scanning asks of a network; `fullyconv.DenseModel` has it.

    Attributes:
        grid: where each score lies.
        card: channels and preprocessing.
        margins_px: pixels outside a window that its score depends on, `((top, bottom), (left, right))`.
        own_stride_px: pixels between neighbouring scores at the network's own stride, which its grid may be finer than.
        module: the network, whose parameters tell dtype and device.
        report: what its scores equal.
    """

    @property
    def grid(self) -> Grid: ...  # noqa: D102
    @property
    def card(self) -> ModelCard: ...  # noqa: D102
    @property
    def margins_px(self) -> Margins: ...  # noqa: D102
    @property
    def own_stride_px(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def module(self) -> torch.nn.Module: ...  # noqa: D102
    @property
    def report(self) -> ConversionReport: ...  # noqa: D102

    def __call__(self, images: torch.Tensor, /) -> Any:
        """Returns scores `(N, K, Gy, Gx)` for `(N, C, H, W)`, or a structure of such."""
        ...


def select_output(outputs: object, name: str | None = None) -> torch.Tensor:
    """Returns one output of a network that may have several: the first, or the one that `name` names.

    Args:
        outputs: a tensor, or tensors in tuples, lists and mappings.
        name: keys and positions from the outside in, joined by dots, such as `boxes`, `1` or `heads.0`.

    Raises:
        OptionError: there is no output of that name; the message lists those there are.
        ModelError: what the network returned is not made of tensors.
    """
    found = outputs
    for step in name.split(".") if name else ():
        names = _name_parts(found)
        if step not in names:
            listed = ", ".join(names) or "one, without a name"
            raise OptionError(f"output {name!r}: the network has no such output; it has {listed}")
        found = names[step]
    while parts := _name_parts(found):
        found = next(iter(parts.values()))
    if not isinstance(found, torch.Tensor):
        raise ModelError(f"expected the network to return tensors, got {type(found).__name__}")
    return found


def _name_parts(outputs: object) -> dict[str, Any]:
    if isinstance(outputs, Mapping):
        return {str(key): value for key, value in outputs.items()}
    if isinstance(outputs, Sequence) and not isinstance(outputs, str):
        return {str(index): value for index, value in enumerate(outputs)}
    return {}
