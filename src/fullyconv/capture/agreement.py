"""Whether a captured graph gives what its module gives, before anything is built on it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.utils import _pytree as pytree

from fullyconv.allocator import releases_memory
from fullyconv.capture.batching import PLACE_RTOL, Run, agree
from fullyconv.capture.export import silence
from fullyconv.capture.module import evaluating, read_device, read_dtype
from fullyconv.capture.torch_export import CapturedModel, evaluate
from fullyconv.errors import FollowError


@releases_memory
def check_agreement(captured: CapturedModel, module: nn.Module) -> Run:
    """Returns what the module gives on windows of two contrasts, if the graph gives the same up to its rounding.

    A forward may notice that it is followed and do something else: one that catches the errors of reading values,
    say, or asks whether it is being exported, or draws random numbers.

    Raises:
        FollowError: they differ.
    """
    shape = captured.graph.image.shape
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    image[-1] = 3 * image[-1].abs() + 1
    image = image.to(dtype=read_dtype(module), device=read_device(module))
    own = _run(module, image)
    # In the module's own arithmetic, constants included: what is exact takes more memory, and is not what it gives.
    plain = replace(captured, tensors=replace(captured.tensors, widen=False))
    followed = evaluate(plain, image.clone(), captured.graph.outputs)
    pairs = list(zip(own, followed, strict=False))
    if len(own) != len(followed) or any(a.shape != b.shape for a, b in pairs):
        raise FollowError("the model gives outputs of other shapes when it is followed", reads_values=True)
    if any(a.is_floating_point() and not agree(a, b, PLACE_RTOL) for a, b in pairs):
        raise FollowError("the model gives other scores when it is followed than when it runs", reads_values=True)
    return Run(image, tuple(own))


@releases_memory
def _run(module: nn.Module, image: torch.Tensor) -> list[torch.Tensor]:
    with evaluating(module), torch.no_grad(), silence():
        return [leaf for leaf in pytree.tree_leaves(module(image.clone())) if isinstance(leaf, torch.Tensor)]
