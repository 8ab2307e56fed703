"""What checking asks of an original, whatever runs it: its answers, and its two halves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from fullyconv.verify.answer import Answer
from fullyconv.verify.splits import Probe


class Halves(Protocol):
    """An original cut at its feature maps."""

    def trunk(self, images: Tensor) -> list[Tensor]:
        """Returns the feature maps of whole images `(N, C, H, W)`."""
        ...

    def head(self, patches: Sequence[Tensor]) -> dict[str, Answer]:
        """Returns the outputs, by name, for patches `(B, ...)` of each feature map."""
        ...


class Reference(Protocol):
    """An original in one number type.

    Attributes:
        dtype: the number type.
        window: images that it is known to take, `(B, C, h, w)`.
        rounds_within: whether it is known to make coarser numbers of those of the number type.
        passed_over: what it asserts about its image's size, where its trunk ran on others all the same.
    """

    @property
    def dtype(self) -> torch.dtype: ...  # noqa: D102
    @property
    def window(self) -> Tensor: ...  # noqa: D102

    @property
    def rounds_within(self) -> bool: ...  # noqa: D102

    @property
    def passed_over(self) -> Iterable[str]: ...  # noqa: D102

    def answer(self, windows: Tensor) -> dict[str, Answer]:
        """Returns the outputs, by name, for windows `(B, C, h, w)`."""
        ...

    def cut(self, probe: Probe) -> Halves:
        """Returns the original cut at the split tensors.

        Raises:
            SplitError: they are none of its own, or its head gets something past them.
        """
        ...
