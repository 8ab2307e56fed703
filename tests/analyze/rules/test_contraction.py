"""Sums of products with named axes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from planning import check_crops, check_refused, pooled


def constant(*shape: int) -> dict[str, nn.Module]:
    """Returns a part that holds a tensor."""
    part = nn.Module()
    part.w = nn.Parameter(torch.randn(shape))
    return {"p": part}


def multiply(equation: str, end: Callable[[torch.Tensor], torch.Tensor] = pooled) -> Callable[..., torch.Tensor]:
    """Returns a product of the map with a constant."""
    return lambda x, p: end(torch.einsum(equation, x, p.w))


def see(x: torch.Tensor, *sizes: int) -> torch.Tensor:
    """Returns the channels of each cell as matrices, behind rows and columns."""
    return x.unflatten(1, sizes).permute(0, 1 + len(sizes), 2 + len(sizes), *range(1, 1 + len(sizes)))


def multiply_images(x: torch.Tensor) -> torch.Tensor:
    return x.mean((1, 2)).flatten(1)


def mix_blocks(x: torch.Tensor) -> torch.Tensor:
    """Attention within blocks of 2 x 2 cells, without weights."""
    blocks = x.reshape(-1, 6, 4, 2, 3, 2).permute(0, 2, 4, 3, 5, 1).flatten(3, 4)
    return ((blocks @ blocks.mT).softmax(-1) @ blocks).flatten(1)


def flat(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1)


ACCEPTED = {
    "of each cell": (multiply("nchw, dc -> ndhw"), 5, constant(5, 6)),
    "inputs first": (multiply("bchw,cd->bdhw"), 5, constant(6, 5)),
    "channels last": (
        lambda x, p: torch.einsum("nhwc,cd->nhwd", x.movedim(1, -1), p.w).mean((1, 2)),
        5,
        constant(6, 5),
    ),
    "any axes between": (
        lambda x, p: torch.einsum("n...c,dc->n...d", x.movedim(1, -1), p.w).amax((1, 2)),
        5,
        constant(5, 6),
    ),
    "of the whole map": (multiply("nchw,kchw->nk", flat), 5, constant(5, 6, 8, 6)),
    "of the whole map, shuffled": (multiply("nchw,whck->nk", flat), 5, constant(6, 8, 6, 5)),
    "of rows": (multiply("nchw,kch->nkw", lambda x: x.amax(2)), 5, constant(5, 6, 8)),
    "the batch last": (lambda x, p: torch.einsum("nchw,kchw->kn", x, p.w).t(), 5, constant(5, 6, 8, 6)),
    "the constant first": (lambda x, p: torch.einsum("kc,bc->bk", p.w, pooled(x)), 5, constant(5, 6)),
    "two new axes": (multiply("nchw,acb->nbahw", lambda x: pooled(x.flatten(1, 2))), 10, constant(2, 6, 5)),
    "no new axis": (multiply("nchw,c->nhw", flat), 48, constant(6)),
    "an axis of one": (multiply("nchw,dcz->ndhw"), 5, constant(5, 6, 1)),
    "split channels": (
        lambda x, p: pooled(torch.einsum("nabhw,kba->nkhw", x.view(-1, 2, 3, 8, 6), p.w)),
        5,
        constant(5, 3, 2),
    ),
    "after a scale for each position": (
        lambda x, p, s: torch.einsum("nf,kf->nk", x.flatten(1) * s.w, p.w),
        5,
        constant(5, 288) | {"s": constant(288)["p"]},
    ),
    "after an adaptive pool": (
        lambda x, p: torch.einsum("nchw,kchw->nk", nn.functional.adaptive_avg_pool2d(x, (3, 4)), p.w),
        5,
        constant(5, 6, 3, 4),
    ),
    "of two values": (lambda x: multiply_images(see(x, 2, 3) @ see(x.tanh(), 3, 2)), 4, {}),
    "of a value with itself": (lambda x: multiply_images(see(x, 3, 2) @ see(x, 3, 2).mT), 9, {}),
    "of two vectors": (lambda x: (pooled(x)[:, :, None] @ x.amax((2, 3))[:, None]).flatten(1), 36, {}),
    "of stacks and one": (
        lambda x: multiply_images(see(torch.cat([x, x.relu()], 1), 2, 2, 3) @ see(x.tanh(), 1, 3, 2)),
        8,
        {},
    ),
    "of one and stacks": (
        lambda x: multiply_images(see(x, 1, 2, 3) @ see(torch.cat([x, x.relu()], 1), 2, 3, 2)),
        8,
        {},
    ),
    "of heads": (
        lambda x: torch.einsum(
            "nahwi,nahwi->nhwa", x.view(-1, 2, 3, 8, 6).movedim(2, -1), x.sin().view(-1, 2, 3, 8, 6).movedim(2, -1)
        ).amax((1, 2)),
        2,
        {},
    ),
    "of batches of matrices": (
        lambda x: torch.bmm(see(x, 2, 3).flatten(0, 2), see(x.tanh(), 3, 2).flatten(0, 2)).view(-1, 48, 4).mean(1),
        4,
        {},
    ),
    "a part of the channels": (
        lambda x, p: torch.einsum("nabhw,kb->nakhw", x.view(-1, 2, 3, 8, 6), p.w).flatten(1),
        480,
        constant(5, 3),
    ),
    "the other part of the channels": (
        lambda x, p: pooled(torch.einsum("nabhw,ka->nkbhw", x.view(-1, 2, 3, 8, 6), p.w).relu().flatten(1, 2)),
        15,
        constant(5, 2),
    ),
    "the channels of two axes of three": (
        lambda x, p: pooled(
            torch.einsum("nabchw,ack->nkbhw", torch.cat([x, x.relu()], 1).view(-1, 2, 3, 2, 8, 6), p.w)
            .relu()
            .flatten(1, 2)
        ),
        15,
        constant(2, 2, 5),
    ),
    "a plain sum": (lambda x: torch.einsum("nchw->nc", x), 6, {}),
    "a permutation": (lambda x: torch.einsum("nchw->nhwc", x).mean((1, 2)), 6, {}),
    "a 1-D convolution of cells": (lambda x, c: c(x.flatten(2)).amax(2), 5, {"c": nn.Conv1d(6, 5, 1)}),
    "a 1-D convolution of vectors": (
        lambda x, c: c(pooled(x).unsqueeze(2)).flatten(1),
        5,
        {"c": nn.Conv1d(6, 5, 1, padding="same", bias=False)},
    ),
}

REFUSED = {
    "the map with itself": (
        lambda x: torch.einsum("nchw,ndhw->ncd", x, x).flatten(1),
        36,
        {},
        "may mix the values of a whole window",
    ),
    "cells with cells": (lambda x: (x @ x.mT).flatten(1), 6 * 64, {}, "may mix the values of a whole window"),
    "cells of a block with each other": (mix_blocks, 288, {}, "mixes the cells of a block"),
    "rows with columns": (
        lambda x: torch.einsum("nchw,ncwh->nhw", x[:, :, :6], x[:, :, :6]).flatten(1),
        36,
        {},
        "may mix the values of a whole window",
    ),
    "one of two summed alone": (
        lambda x: pooled(torch.einsum("nabhw,nbhw->nbhw", x.view(-1, 2, 3, 8, 6), x[:, :3].sin())),
        3,
        {},
        "sums over an axis that only one of two values has",
    ),
    "the map and its mean": (
        lambda x: pooled(torch.einsum("nchw,nc->nhw", x, pooled(x))[:, None]),
        1,
        {},
        "may mix the values of a whole window",
    ),
    "a scale of each channel": (multiply("nchw,c->nchw"), 6, constant(6), "keeps an axis that both have"),
    "a sum beside the product": (multiply("nchw,dc->ndw", flat), 30, constant(5, 6), "sums over one that only one has"),
    "a constant summed": (multiply("nchw,dcz->ndhw"), 5, constant(5, 6, 2), "sums over one that only one has"),
    "weights of positions": (multiply("nchw,hw->nc", flat), 6, constant(8, 6), "reads a part of the channels"),
    "flattened maps joined": (
        lambda x, p: torch.einsum("nf,kf->nk", torch.cat([x[:, :, ::2].flatten(1), x.flatten(1)], 1), p.w),
        5,
        constant(5, 432),
        "maps of different kinds are joined",
    ),
    "a result that is not said": (lambda x, p: torch.einsum("nc,oc", pooled(x), p.w), 5, constant(5, 6), "may mix"),
    "a diagonal": (lambda x, p: torch.einsum("nc,kkc->nk", pooled(x), p.w), 5, constant(5, 5, 6), "may mix"),
    "an axis of one for six": (multiply("nchw,dc->ndhw"), 5, constant(5, 1), "may mix"),
    "three operands": (
        lambda x, p: torch.einsum("nc,kc,k->nk", pooled(x), p.w, p.w[:, 0]),
        5,
        constant(5, 6),
        "may mix",
    ),
    "any axes of both": (
        lambda x, p: torch.einsum("n...c,...c->n...", x.movedim(1, -1), p.w).flatten(1),
        48,
        constant(8, 6, 6),
        "may mix",
    ),
    "a sum that permutes": (lambda x: torch.einsum("nchw->wcn", x).permute(2, 1, 0).flatten(1), 36, {}, "may mix"),
    "a 1-D convolution along cells": (
        lambda x, c: c(x.flatten(2)).mean(2),
        5,
        {"c": nn.Conv1d(6, 5, 3)},
        "slides along an axis that is not all channels",
    ),
    "a 1-D convolution of groups": (
        lambda x, c: c(x.flatten(2)).mean(2),
        4,
        {"c": nn.Conv1d(6, 4, 1, groups=2)},
        "slides along an axis that is not all channels",
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_crops(*ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])
