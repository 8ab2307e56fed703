"""Options that run a converted network on another grid, or with its padding elsewhere, than it was written with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopts import Parameter

from fullyconv.card import Border
from fullyconv.grid import Pair, parse_size

if TYPE_CHECKING:
    from fullyconv.rewrite.dense_model import DenseModel


@Parameter(name="*")
@dataclass(frozen=True)
class GridOptions:
    """How finely to look, and where padding is.

    Attributes:
        stride: pixels between neighbouring scores, as WIDTHxHEIGHT or one number: as fine as the network's strides
            allow, exactly and without retraining. By default as it was converted.
        border: for networks that pad, where the padding is: at the image's border (fast); at the window's to first
            order (nearer to crops); at the window's exactly (as slow as crops). By default as it was converted.
    """

    stride: str | None = None
    border: Border | None = None

    def apply(self, dense: DenseModel) -> DenseModel:
        """Returns the network as asked, itself if nothing was.

        Raises:
            OptionError: the network cannot have this stride or border.
        """
        stride = self.parse_stride()
        dense = dense if stride is None else dense.refine(stride)
        return dense if self.border is None else dense.with_border(self.border)

    def parse_stride(self) -> Pair | None:
        """Returns the stride `(y, x)`, None if none was asked for.

        Raises:
            OptionError: it is no size.
        """
        return None if self.stride is None else parse_size(self.stride)
