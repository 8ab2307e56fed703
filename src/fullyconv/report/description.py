"""What a converted network is, as plain values: the JSON of `convert` and `inspect`, and their tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fullyconv.card import ModelCard
from fullyconv.grid import Grid, Pair

if TYPE_CHECKING:
    from fullyconv.rewrite.dense_model import DenseModel
    from fullyconv.rewrite.report import ConversionReport

PROMISES = {
    "image crops": "every score equals the classifier on the pixels of that window",
    "feature windows": "every score equals the classifier's head on that window of the feature map; "
    "crops differ, because a crop has padding where the image has pixels",
    "approximation": "an operation over the whole window was replaced by a local one, as asked; "
    "the scores equal the classifier's on images of one window only; verify measures how far they are on others",
}
BORDERS = {
    "image": "padding is at the image's border",
    "first-order": "padding is at each window's border, to first order: every score is the sum of two runs, on bands "
    "one window high and one window wide, less one on the whole image; it is near that of crops, and equal to it on "
    "images of one window",
    "window": "padding is at each window's border, as in crops",
}


@dataclass(frozen=True, slots=True)
class Description:
    """What a person asks about a converted network.

    Attributes:
        grid: where the scores lie.
        card: what it expects and what its outputs mean.
        report: what the conversion did and what it promises.
        margins_px: pixels outside a window that its score depends on, `((top, bottom), (left, right))`.
        parameters: the number of its weights.
        possible_strides_px: what its grid can be refined to, down and across, the coarsest first.
    """

    grid: Grid
    card: ModelCard
    report: ConversionReport
    margins_px: tuple[Pair, Pair]
    parameters: int
    possible_strides_px: tuple[tuple[int, ...], tuple[int, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Returns values that JSON knows; sizes are `[height, width]`."""
        return asdict(self)


def _count_weights(dense: DenseModel) -> int:
    told = getattr(dense.module, "weight_count", None)  # of a network that onnxruntime runs
    return sum(parameter.numel() for parameter in dense.module.parameters()) if told is None else int(told)


def describe(dense: DenseModel) -> Description:
    """Returns what there is to say about `dense`."""
    return Description(
        grid=dense.grid,
        card=dense.card,
        report=dense.report,
        margins_px=dense.margins_px,
        parameters=_count_weights(dense),
        possible_strides_px=dense.possible_strides_px,
    )
