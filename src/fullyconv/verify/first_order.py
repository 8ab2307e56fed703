"""The slow, obvious reference of first-order sums: bands of the image, cut out and given to the original one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fullyconv.grid import Grid
from fullyconv.verify.answer import Answer
from fullyconv.verify.halves import Halves
from fullyconv.verify.outputs import Cell
from fullyconv.verify.references import answer_patches
from fullyconv.verify.splits import MapAxes

# How far a score may be from what an activation makes of its logits: they are rounded in their number type.
_SAME = 1e-5


@dataclass(frozen=True, slots=True)
class Sums:
    """What is added up.

    Attributes:
        of_logits: the outputs by name, and whether it is their logits or their scores, which have no last activation.
        fit: pads images where the model runs on some sizes only.
    """

    of_logits: Mapping[str, bool]
    fit: Callable[[Tensor], Tensor]


def answer_first_order(
    trunk: tuple[Halves, Sequence[MapAxes]],
    images: Tensor,
    grid: Grid,
    cells: Sequence[Cell],
    sums: Sums,
) -> dict[str, Answer]:
    """Returns the first-order sums (DESIGN, section 2) of B windows, by output.

    A window's logits are those of its column of the image, all of its height and one window wide, where it is in the
    row that it has there, plus those of its row of the image, all of its width and one window high, less those of
    the whole image. Where logits are to be added and the original shows none, an output is left out.

    Args:
        trunk: the model, cut at its feature maps, and how each lies on the image.
        images: `(N, C, H, W)`.
        grid: the windows.
        cells: which of them.
        sums: of what.

    Raises:
        ModelError: a feature map has no patch for a window.
        Exception: whatever the user's own forward raises on an image larger than the window.
    """
    (height, width), (down, right) = grid.window_px, grid.stride_px
    parts = []
    for image, row, column in cells:
        whole = images[image : image + 1]
        upright = whole[..., column * right : column * right + width]
        lying = whole[..., row * down : row * down + height, :]
        runs = ((upright, (0, row, 0)), (lying, (0, 0, column)), (whole, (0, row, column)))
        parts.append([answer_patches(trunk, sums.fit(pixels), grid, [cell]) for pixels, cell in runs])
    by_name = {name: [[run[name] for run in runs] for runs in parts] for name in sums.of_logits}
    return {
        name: _add(answers, of_logits=sums.of_logits[name])
        for name, answers in by_name.items()
        if not sums.of_logits[name] or all(one.logits is not None for runs in answers for one in runs)
    }


def _add(answers: Sequence[Sequence[Answer]], *, of_logits: bool) -> Answer:
    """Returns the sums of the three answers for each window."""
    if not of_logits:
        return Answer(torch.cat([up.scores + lying.scores - whole.scores for up, lying, whole in answers]), None)
    logits = torch.cat([_read(up) + _read(lying) - _read(whole) for up, lying, whole in answers])
    return Answer(_find_activation([whole for _, _, whole in answers])(logits), logits)


def _read(answer: Answer) -> Tensor:
    assert answer.logits is not None  # the caller asked
    return answer.logits


def _find_activation(answers: Sequence[Answer]) -> Callable[[Tensor], Tensor]:
    """Returns what makes the original's scores of its logits: a sigmoid, or a softmax over one of the axes."""
    logits = torch.cat([_read(answer) for answer in answers])
    scores = torch.cat([answer.scores for answer in answers])
    return next(candidate for candidate in _list_activations(logits.dim()) if _is_same(candidate(logits), scores))


def _list_activations(rank: int) -> Iterator[Callable[[Tensor], Tensor]]:
    yield torch.sigmoid
    yield from (torch.nn.Softmax(axis) for axis in range(1, rank))


def _is_same(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= _SAME)
