"""What a conversion did and what is promised of the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from fullyconv.analyze.plan import Guarantee, Plan, RewrittenLayer

# A residual network pads in fifty layers, and nobody reads fifty lines; the JSON has them all.
_FEW = 3

TIERS = {1: "convolutional", 2: "shared trunk, windowed head", 3: "local approximation"}


@dataclass(frozen=True, slots=True)
class ConversionReport:
    """How a classifier was converted.

    Attributes:
        tier: 1 convolutional, 2 shared trunk and windowed head, 3 with local approximations.
        guarantee: what the scores equal: "image crops", or only "feature windows"; an "approximation" equals crops on
            images of one window and nothing beyond.
        guarantee_reasons: each operation that pads or rounds at a window's border, so that crops differ.
        approximations: each operation that was approximated, on request, and how.
        layers: every rewritten layer: name, kind, old and new shape.
        split: the tensors from which windows are cut; empty in tier 1.
        reasons: each operation that could not be convolutional, and why.
        shared_flops: share of the arithmetic that neighbouring windows share, 0 to 1.
        align: whether images are padded to window + k*stride, because branches would disagree in size.
    """

    tier: int
    guarantee: Guarantee
    guarantee_reasons: tuple[str, ...]
    approximations: tuple[str, ...]
    layers: tuple[RewrittenLayer, ...]
    split: tuple[str, ...]
    reasons: tuple[str, ...]
    shared_flops: float
    align: bool

    def to_json(self) -> str:
        """Returns the report as JSON."""
        return TypeAdapter(ConversionReport).dump_json(self, indent=2).decode()

    def __str__(self) -> str:
        """Returns the report in a few readable lines."""
        lines = [
            f"tier {self.tier} ({TIERS[self.tier]}), guarantee: {self.guarantee}, "
            f"{self.shared_flops:.1%} of the arithmetic shared",
            *(f"  {layer.name}: {layer.kind} {layer.old_shape} -> {layer.new_shape} {layer.note}".rstrip()
              for layer in self.layers),
            *(f"  windowed because of {reason}" for reason in self.reasons),
            *(f"  approximated: {how}" for how in self.approximations),
            *(f"  not crops because {reason}" for reason in shorten(self.guarantee_reasons)),
        ]  # fmt: skip
        return "\n".join(lines)


def shorten(reasons: Sequence[str]) -> list[str]:
    """Returns the first few of many reasons, and how many more there are.

    >>> shorten(["a", "b", "c", "d", "e", "f"])
    ['a', 'b', 'c', '3 more like these']
    """
    kept = list(reasons[:_FEW])
    return [*kept, f"{len(reasons) - _FEW} more like these"] if len(reasons) > _FEW else kept


def make_report(plan: Plan) -> ConversionReport:
    """Returns what a plan means to its reader."""
    return ConversionReport(
        tier=plan.tier,
        guarantee=plan.guarantee,
        guarantee_reasons=plan.padding,
        approximations=plan.approximations,
        layers=plan.layers,
        split=tuple(cut.value for cut in plan.cuts),
        reasons=plan.reasons,
        shared_flops=plan.shared_flops,
        align=plan.align,
    )


def make_crop_report(reason: str) -> ConversionReport:
    """Returns the report on a classifier that runs itself on crops of the image."""
    return ConversionReport(
        tier=2,
        guarantee="image crops",
        guarantee_reasons=(),
        approximations=(),
        layers=(),
        split=("image",),
        reasons=(reason,),
        shared_flops=0.0,
        align=False,
    )


def describe_windows(report: ConversionReport) -> ConversionReport:
    """Returns the report on a network that runs each window by itself, so that its padding is the crop's."""
    return replace(
        report,
        tier=2,
        guarantee="image crops",  # an approximation is exact on one window
        guarantee_reasons=(),
        approximations=(),
        reasons=("the border: padding is to be at each window's own, so windows share nothing",),
        shared_flops=0.0,
    )
