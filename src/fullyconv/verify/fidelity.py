"""How far a score map is from pixel crops where it does not equal them: measured, never a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fullyconv.grid import BoxXyxy, Grid, Pair
from fullyconv.verify.outputs import Cell, drop_ones

_DOWN, _ACROSS = ("top", "middle", "bottom"), ("left", "centre", "right")


@dataclass(frozen=True, slots=True)
class Fidelity:
    """The distance of one output from a reference, on one image.

    Attributes:
        output: the name of the output.
        image: which image.
        image_px: its `(height, width)`.
        cells: how many windows were compared.
        max_difference: the largest difference of scores.
        mean_difference: the mean of the absolute differences of scores.
        correlation: Pearson's, of the logits (of the scores, if there is no last activation); None if they
            are constant.
        top1_agreement: share of windows for which both name the same class. With a single logit: for which
            both are on the same side of 0; of whole numbers, for which both are the same. None for a single score
            without activation: it names no class.
        worst_cell: image of the batch, row and column where scores differ most.
        worst_box_xyxy: that window, half-open, in pixels.
        worst_part: the ninth of the image, such as "top left", whose windows differ most on average; None if
            the centres of all lie in one.
        worst_part_difference: the mean there.
        reference: what it is the distance from: the original on pixel crops, or the exact network.
        moved_px: how far crops were moved down and right, or up and left at the border, as a yardstick.
        moved_difference: the mean difference of scores between crops and moved crops; None if not measured.
    """

    output: str
    image: str
    image_px: Pair
    cells: int
    max_difference: float
    mean_difference: float
    correlation: float | None
    top1_agreement: float | None
    worst_cell: Cell
    worst_box_xyxy: BoxXyxy
    worst_part: str | None
    worst_part_difference: float
    reference: str = "crops"
    moved_px: int = 0
    moved_difference: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One network's values for B windows.

    Attributes:
        scores: `(B, ...)`.
        logits: `(B, ...)`, None if the network ends in no activation.
    """

    scores: Tensor
    logits: Tensor | None


@dataclass(frozen=True, slots=True)
class Scene:
    """The windows that are compared, and the image they lie in.

    Attributes:
        image: its name.
        image_px: its `(height, width)`.
        grid: where windows lie.
        cells: the B windows.
    """

    image: str
    image_px: Pair
    grid: Grid
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Yardstick:
    """What the original gives for crops that were moved a little: so much is a small step of a window worth.

    Attributes:
        moved_px: how far.
        scores: `(B, ...)` of each output, by name.
    """

    moved_px: int
    scores: Mapping[str, Tensor]


def measure_fidelity(
    output: str,
    scene: Scene,
    dense: Measured,
    expected: Measured,
    *,
    reference: str = "crops",
    yardstick: Yardstick | None = None,
) -> Fidelity:
    """Returns how far `dense` is from `expected`, for the same windows; shapes equal but for axes of size 1."""
    difference = _average(dense.scores, expected.scores)
    has_logits = dense.logits is not None and expected.logits is not None
    pair = (dense.logits, expected.logits) if has_logits else (dense.scores, expected.scores)
    found, wanted = (values.reshape(len(values), -1).double() for values in pair if values is not None)
    largest = (
        (drop_ones(dense.scores).double() - drop_ones(expected.scores).double()).abs().reshape(len(found), -1).amax(1)
    )
    worst = scene.cells[int(largest.argmax())]
    part, part_difference = _find_worst_part(scene, difference)
    moved = None if yardstick is None else float(_average(yardstick.scores[output], expected.scores).mean())
    return Fidelity(
        output=output,
        image=scene.image,
        image_px=scene.image_px,
        cells=len(found),
        max_difference=float(largest.max()),
        mean_difference=float(difference.mean()),
        correlation=_correlate(found.reshape(-1), wanted.reshape(-1)),
        top1_agreement=_agree(found, wanted, has_logits, is_whole=not dense.scores.is_floating_point()),
        worst_cell=worst,
        worst_box_xyxy=scene.grid.box_xyxy((worst[1], worst[2])),
        worst_part=part,
        worst_part_difference=part_difference,
        reference=reference,
        moved_px=yardstick.moved_px if yardstick else 0,
        moved_difference=moved,
    )


def _average(found: Tensor, expected: Tensor) -> Tensor:
    """Returns the mean absolute difference of each window, `(B,)`."""
    return (drop_ones(found).double() - drop_ones(expected).double()).abs().reshape(len(found), -1).mean(1)


def _find_worst_part(scene: Scene, difference: Tensor) -> tuple[str | None, float]:
    """Returns which ninth of the image has the largest mean difference, and that mean."""
    parts: dict[tuple[int, int], list[float]] = {}
    for (_, row, column), value in zip(scene.cells, difference.tolist(), strict=True):
        x0, y0, x1, y1 = scene.grid.box_xyxy((row, column))
        place = (3 * (y0 + y1) // (2 * scene.image_px[0]), 3 * (x0 + x1) // (2 * scene.image_px[1]))
        parts.setdefault(place, []).append(value)
    means = {place: sum(values) / len(values) for place, values in parts.items()}
    worst = max(means, key=means.__getitem__)
    return (_name_part(worst) if len(means) > 1 else None), means[worst]


def _name_part(place: tuple[int, int]) -> str:
    """Returns the name of a ninth.

    >>> _name_part((0, 2)), _name_part((1, 1))
    ('top right', 'middle')
    """
    return "middle" if place == (1, 1) else f"{_DOWN[place[0]]} {_ACROSS[place[1]]}"


def _correlate(found: Tensor, expected: Tensor) -> float | None:
    if len(found) < 2 or not found.std() > 0 or not expected.std() > 0:
        return None
    return float(torch.corrcoef(torch.stack([found, expected]))[0, 1])


def _agree(found: Tensor, expected: Tensor, has_logits: bool, *, is_whole: bool) -> float | None:
    if is_whole:
        return float((found == expected).all(1).double().mean())
    if found.shape[1] > 1:
        return float((found.argmax(1) == expected.argmax(1)).double().mean())
    return float(((found > 0) == (expected > 0)).double().mean()) if has_logits else None
