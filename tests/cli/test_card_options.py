"""What is given on the command line replaces what the card says, and nothing else."""

from __future__ import annotations

import pytest

from fullyconv.card import ModelCard, Preprocessing
from fullyconv.cli.card_options import CardOptions
from fullyconv.errors import ModelError, OptionError

CARD = ModelCard((25, 25), 3, ("face", "other"), "other", "softmax", Preprocessing(mean=(0.5,), std=(0.25,)))


def test_nothing_given_changes_nothing():
    assert CardOptions().amend(CARD) == CARD


def test_what_is_given_is_put_in_place():
    options = CardOptions("a, b", "b", mean="0.1,0.2,0.3", std="2", scale=1.0, colour="bgr")
    assert options.amend(CARD) == ModelCard(
        (25, 25), 3, ("a", "b"), "b", "softmax", Preprocessing(1.0, (0.1, 0.2, 0.3), (2.0,), "bgr")
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (CardOptions(mean="a,b"), "--mean: expected numbers with commas, such as 0.5,0.5,0.5, got 'a,b'"),
        (CardOptions(std="1;2"), "--std: expected numbers"),
        (CardOptions(background="nothing"), "--background: expected one of face, other, got nothing"),
        (CardOptions(mean="1,2"), "expected 1 or 3 preprocessing values for 3 channels, got 2"),
        (CardOptions(std="0"), "expected means and positive standard deviations"),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises((OptionError, ModelError), match=message):
        options.amend(CARD)
