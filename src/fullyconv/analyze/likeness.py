"""Steps that say how near each cell is to constant vectors."""

from __future__ import annotations

from dataclasses import dataclass

from fullyconv.graph import Operation


@dataclass(frozen=True, slots=True)
class CosineSimilarity(Operation):
    """The cosine of each cell's channels with each of K vectors. Weights: vectors `(K, C, 1, 1)`.

    No length counts as less than `eps`.
    """

    eps: float


@dataclass(frozen=True, slots=True)
class Distance(Operation):
    """The distance of each cell's channels from each of K vectors, by the norm of order `p`. Weights: `(K, C)`."""

    p: float
