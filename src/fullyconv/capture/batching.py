"""Whether windows may share a batch: only where each one's scores do not depend on the others in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from fullyconv.allocator import releases_memory
from fullyconv.capture.export import silence
from fullyconv.capture.module import evaluating

MIXES_BATCH = "a window's scores depend on the other windows of its batch, so each is run by itself"
"""The reason why such a classifier runs on crops."""

# A neighbour of this contrast decides every mean and every comparison that it takes part in.
_LOUD = 1e4

# The same shapes run the same kernels, so next to another neighbour a window's scores keep every bit. A network whose
# own rounding is large may differ between places and sizes of a batch, so there only more than that counts.
_NEIGHBOUR_RTOL, PLACE_RTOL = 1e-3, 5e-2


@dataclass(frozen=True, slots=True)
class Run:
    """What a module gave: `scores` `(B, ...)`, one tensor for each of its outputs, of `images` `(B, C, h, w)`."""

    images: Tensor
    scores: tuple[Tensor, ...]


def reads_values(module: nn.Module, image: Tensor) -> bool:
    """Returns whether the forward may look at values: decide by them, or take them out of torch.

    It is run on tensors that have shapes and no values. Then what a batch holds cannot steer its Python code.

    Args:
        module: any.
        image: `(B, C, height, width)` that it runs on.
    """
    try:
        with evaluating(module), torch.no_grad(), silence(), FakeTensorMode(allow_non_fake_inputs=True) as mode:
            module(mode.from_tensor(image))
    except Exception:
        return True
    return False


def mixes_batch(module: nn.Module, image: Tensor) -> bool:
    """Returns whether a window's scores depend on the other windows of its batch, on its place there, or its size.

    The scores of one window are compared beside quiet, loud and undefined (NaN) neighbours.

    Args:
        module: runs on `image`.
        image: random `(B, C, height, width)`; nothing is to be found out where B is 1.
    """
    if len(image) < 2:
        return False
    window, loud = image[:1], _LOUD * image[1:2]
    trials = [(window, loud, 0), (-loud, window, 1), (window, torch.full_like(loud, torch.nan), 0)]
    try:
        alone = _run(module, torch.cat([window, window]))
        beside = [(_run(module, torch.cat([first, second])), place) for first, second, place in trials]
    except Exception:
        return True
    differs = any(
        not agree(own[place], _heal(other[place], own[place]), _NEIGHBOUR_RTOL)
        for scores, place in beside
        for own, other in zip(alone, scores, strict=True)
    )
    return differs or any(not agree(own[0], own[1], PLACE_RTOL) for own in alone) or _needs_two(module, window, alone)


def counts_batch(module: nn.Module, run: Run) -> bool:
    """Returns whether a window's scores depend on how many windows share its batch.

    Of a network that runs densely nothing else of a batch can matter, as its operations are all known to be local:
    only a number that its forward made of the batch's size.

    Args:
        module: the one that ran.
        run: on B random windows; nothing is to be found out where B is 1.
    """
    return len(run.images) > 1 and _needs_two(module, run.images[:1], run.scores)


def _heal(beside: Tensor, own: Tensor) -> Tensor:
    """Returns scores with `own` in place of NaN, which says nothing: products of small matrices compute rows together.

    Undefined neighbours are there for comparisons, which they turn around without leaving a trace of themselves.
    """
    return torch.where(beside.isnan(), own, beside) if beside.is_floating_point() else beside


def _needs_two(module: nn.Module, window: Tensor, alone: Sequence[Tensor]) -> bool:
    """Returns whether a batch of one gives other scores; a module that takes only one batch size has no such."""
    try:
        single = [leaf for leaf in _leaves(module, window) if isinstance(leaf, Tensor)]
    except Exception:
        return False
    return any(not agree(own[0], one.reshape(own[0].shape), PLACE_RTOL) for own, one in zip(alone, single, strict=True))


def _run(module: nn.Module, images: Tensor) -> list[Tensor]:
    leaves = [leaf for leaf in _leaves(module, images) if isinstance(leaf, Tensor)]
    if any(leaf.dim() == 0 or len(leaf) != len(images) for leaf in leaves):
        raise ValueError("scores that do not begin with the batch")
    return leaves


@releases_memory
def _leaves(module: nn.Module, images: Tensor) -> list[object]:
    with evaluating(module), torch.no_grad(), silence():
        return pytree.tree_leaves(module(images.clone()))


def agree(first: Tensor, second: Tensor, rtol: float) -> bool:
    """Returns whether two tensors differ by no more than a share of the largest value, which half precisions widen."""
    if not first.is_floating_point():
        return torch.equal(first, second)
    share = max(rtol, 16 * torch.finfo(first.dtype).eps)
    scale = float(first.nan_to_num(0, 0, 0).abs().max()) if first.numel() else 0.0
    return torch.allclose(first.double(), second.double(), rtol=0, atol=share * scale, equal_nan=True)
