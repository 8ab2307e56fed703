"""What a network gives, whatever its structure: named tensors, per window or on a grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from fullyconv.capture.structure import list_fields

Cell = tuple[int, int, int]
"""One score: image of the batch, row and column of the grid."""

SINGLE = "scores"
"""The name of the output of a network that has only one."""


def name_outputs(tree: Any, name: str = "") -> dict[str, Tensor]:
    """Returns the tensors of a network's output by their path in it; anything else in it is left out.

    >>> list(name_outputs({"kind": torch.zeros(1), "more": [torch.zeros(1), None]}))
    ['kind', 'more.0']
    """
    if isinstance(tree, Tensor):
        return {name or SINGLE: tree}
    return {
        path: tensor
        for key, child in _list_children(tree)
        for path, tensor in name_outputs(child, f"{name}.{key}" if name else str(key)).items()
    }


def _list_children(tree: Any) -> Iterable[tuple[object, Any]]:
    if isinstance(tree, Mapping):
        return tree.items()
    if isinstance(tree, (list, tuple)):
        return enumerate(tree)
    return (list_fields(tree) or {}).items()


def pick_cells(score_map: Tensor, cells: Sequence[Cell]) -> Tensor:
    """Returns the values `(B, ...)` of B cells of a score map `(N, ..., Gy, Gx)`."""
    image, row, column = torch.tensor(cells, device=score_map.device).unbind(1)
    return score_map.movedim((-2, -1), (1, 2))[image, row, column]


def drop_ones(values: Tensor) -> Tensor:
    """Returns `(B, ...)` without the axes of size 1 beyond the batch."""
    return values.reshape(values.shape[0], *(size for size in values.shape[1:] if size != 1))
