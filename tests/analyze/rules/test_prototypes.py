"""Heads that compare all channels with constant vectors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fullyconv
from planning import WINDOW, Between, check_crops, check_refused, pooled

GENERATOR = torch.Generator().manual_seed(3)
VECTORS = torch.randn(5, 6, generator=GENERATOR)
ONE = VECTORS[0]
OF_ROWS = torch.randn(6, 8, 1, generator=GENERATOR)
OF_TOKENS = torch.randn(48, 2, 6, generator=GENERATOR)


def cosine(x: torch.Tensor, vectors: torch.Tensor, dim: int = -1, **how: float) -> torch.Tensor:
    return F.cosine_similarity(x, vectors.to(x.dtype), dim=dim, **how)


def distance(x: torch.Tensor, vectors: torch.Tensor, p: float = 2.0) -> torch.Tensor:
    return torch.cdist(x, vectors.to(x.dtype), p=p)


def tokens(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)


EXACT = {
    "cosine of a pooled vector": (lambda x: cosine(pooled(x)[:, None], VECTORS), 5, {}),
    "cosine the other way round": (
        lambda x: F.cosine_similarity(VECTORS.to(x.dtype)[None], pooled(x)[:, None], dim=2), 5, {},
    ),
    "cosine of each cell": (lambda x: cosine(x[:, None], VECTORS[:, :, None, None], 2).amax((2, 3)), 5, {}),
    "cosine with one vector": (lambda x: cosine(x, ONE[:, None, None], 1).flatten(1), 48, {}),
    "cosine of tokens": (lambda x: cosine(tokens(x)[:, :, None], VECTORS).mean(1), 5, {}),
    "cosine with groups of vectors": (
        lambda x: cosine(pooled(x)[:, None, None], torch.stack([VECTORS, -VECTORS.abs()])).amax(1), 5, {},
    ),
    "cosine of short vectors": (lambda x: cosine(pooled(x)[:, None] * 0.01, VECTORS, eps=0.5), 5, {}),
    "cosine of a flattened map": (
        lambda x, d: cosine(d(x.flatten(1))[:, :, None], VECTORS.T, 1), 5, {"d": nn.Linear(288, 6)},
    ),
    "distances": (lambda x: distance(pooled(x), VECTORS), 5, {}),
    "distances, with an axis for the batch": (lambda x: distance(pooled(x)[:, None], VECTORS[None]).flatten(1), 5, {}),
    "distances along the axes": (lambda x: distance(pooled(x), VECTORS, p=1), 5, {}),
    "greatest differences": (lambda x: distance(pooled(x), VECTORS, p=float("inf")), 5, {}),
    "distances of tokens": (lambda x: -distance(tokens(x), VECTORS).amin(1), 5, {}),
    "distances of many vectors": (lambda x: distance(pooled(x), VECTORS.repeat(6, 1)), 30, {}),
    "distances of channels last": (lambda x: distance(x.permute(0, 2, 3, 1), VECTORS).mean((1, 2)), 5, {}),
}  # fmt: skip

REFUSED = {
    "cosine of two values": (lambda x: cosine(pooled(x)[:, None], pooled(x)[:, :, None].repeat(1, 1, 6)), 6, {},
                             "compares values of the image with each other"),
    "cosine with shorter numbers": (
        lambda x: F.cosine_similarity(pooled(x)[:, None], VECTORS.half(), dim=-1), 5, {},
        "vectors of different number types",
    ),
    "cosine of rows": (lambda x: cosine(x, torch.ones(8, 1), 2).flatten(1), 36, {}, "than all channels"),
    "cosine of a part of the channels": (
        lambda x: cosine(x.unflatten(1, (2, 3)).mean((3, 4))[:, None], VECTORS[:, None, :3]).flatten(1), 10, {},
        "than all channels",
    ),
    "cosine with one value for all channels": (
        lambda x: cosine(pooled(x)[:, None], torch.ones(5, 1)), 5, {}, "than all channels",
    ),
    "cosine with other vectors for each row": (
        lambda x: cosine(x, OF_ROWS, 1).flatten(1), 48, {}, "than all channels",
    ),
    "distances from values": (lambda x: torch.cdist(tokens(x), x.mean(2)).mean((1, 2))[:, None], 1, {},
                              "takes distances from values of the image"),
    "distances the other way round": (lambda x: distance(VECTORS.to(x.dtype), pooled(x)).T, 5, {},
                                      "takes distances from values of the image"),
    "distances of rows": (lambda x: distance(x.transpose(2, 3), torch.ones(2, 8)).flatten(1), 72, {},
                          "along an axis that is not all channels"),
    "distances from others for each token": (
        lambda x: distance(tokens(x)[:, :, None], OF_TOKENS).flatten(1), 96, {},
        "other vectors for each value of an axis",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_equals_crops(name: str) -> None:
    check_crops(*EXACT[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])


def test_longer_numbers() -> None:
    """The cells take the number type of the vectors, as in the classifier."""

    def compare(x: torch.Tensor) -> torch.Tensor:
        return F.cosine_similarity(pooled(x)[:, None], VECTORS.double(), dim=-1).float()

    torch.manual_seed(0)
    model = Between(compare, 5).eval()
    dense = fullyconv.convert(model, WINDOW)
    assert dense.report.tier == 1
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
