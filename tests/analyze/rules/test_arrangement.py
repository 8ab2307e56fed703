"""Reshapes and permutations."""

from __future__ import annotations

import pytest

from planning import check_accepted, check_refused, pooled

ACCEPTED = {
    "channel shuffle": (lambda x: pooled(x.view(-1, 2, 3, 8, 6).transpose(1, 2).reshape(-1, 6, 8, 6).relu()), 6, {}),
    "moved axes": (lambda x: pooled(x.movedim((1, 2), (-1, 1)).relu().movedim(-1, 1)), 6, {}),
}

REFUSED = {
    "rows in uneven parts": (lambda x: x.view(-1, 4, 3, 4, 6).amax((2, 3)).flatten(1), 4 * 6, {}, "splits unevenly"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(name: str) -> None:
    check_accepted(*ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    check_refused(*REFUSED[name])
