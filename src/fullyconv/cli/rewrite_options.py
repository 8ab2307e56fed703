"""Options that change how a network is converted: its grid, its borders, where windows begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from cyclopts import Parameter

from fullyconv.card import Border
from fullyconv.cli.card_options import split_list
from fullyconv.grid import Pair, parse_size


class RewriteArguments(TypedDict):
    """What `fullyconv.convert` takes beside the model and its card."""

    stride: Pair | None
    windowed_from: str | None
    border: Border
    approximate: tuple[str, ...] | Literal["all"]


@Parameter(name="*")
@dataclass(frozen=True)
class RewriteOptions:
    """How to convert.

    Attributes:
        stride: pixels between neighbouring scores, as WIDTHxHEIGHT: as fine as the network's own strides allow, or
            multiples of its own.
        windowed_from: a layer of the classifier; it and what follows run on windows.
        border: for networks that pad, where the padding is: at the image's border (fast); at the window's to first
            order (nearer to crops); at the window's exactly (as slow as crops).
        approximate: what may be replaced by something local and no longer equal, with commas:
            squeeze-excitation, spatial-norm; or all. Verify then measures the distance from crops.
    """

    stride: str | None = None
    windowed_from: str | None = None
    border: Border = "image"
    approximate: str | None = None

    def to_arguments(self) -> RewriteArguments:
        """Returns the library's arguments.

        Raises:
            OptionError: the stride is not one or two whole numbers.
        """
        stride = None if self.stride is None else parse_size(self.stride)
        return {
            "stride": stride,
            "windowed_from": self.windowed_from,
            "border": self.border,
            "approximate": "all" if self.approximate == "all" else tuple(split_list(self.approximate or "")),
        }
