"""Tables say everything that the description holds, and its JSON holds the same."""

from __future__ import annotations

import json

import pytest
import torch
from rich.console import Console
from torch import nn

import fullyconv
from fullyconv.report.description import describe
from fullyconv.report.tables import count_scores, format_shape, lay_out_description, make_table


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.gate = nn.Linear(4, 4)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = self.conv(x)
        return self.fc((x * self.gate(x.mean((2, 3))).sigmoid()[:, :, None, None]).mean((2, 3)))


def print_plain(part) -> str:
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(part)
    return capture.get()


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.Flatten(), nn.Linear(2 * 3 * 5, 1), nn.Sigmoid())
    return describe(fullyconv.convert(classifier, (7, 11)))


@pytest.fixture(scope="module")
def gated():
    torch.manual_seed(0)
    return describe(fullyconv.convert(Gated(), (8, 8)))


def test_a_convolutional_network_is_described(plain):
    text = print_plain(lay_out_description(plain))
    for part in (
        "11x7 pixels, 1 channel\n",
        "2x2 pixels between scores; --stride can be 2, 1",
        "5x3 cells",
        "sigmoid",
        "1: convolutional",
    ):
        assert part in " ".join(line.rstrip() + "\n" for line in text.splitlines())
    assert "image crops: every score equals the classifier on the pixels" in text
    assert "1x30" in text
    assert "1x2x3x5" in text
    assert "because" not in text.split("rewritten layers")[1]


def test_a_windowed_head_says_where_and_why(gated):
    text = print_plain(lay_out_description(gated))
    assert "3 channels" in text
    assert "2: shared trunk, windowed head" in text
    assert "windows cut from" in text
    assert "because mul" in text
    assert "pads rows" in text


def test_scores_of_an_image_are_counted(plain):
    assert count_scores(plain, (7, 11)) == "1 x 1 = 1 (across x down)"
    assert "6 x 3 = 18" in print_plain(lay_out_description(plain, (12, 21)))
    with pytest.raises(fullyconv.ImageError, match="smaller than the window"):
        lay_out_description(plain, (6, 30))


def test_the_json_holds_it_all(plain, gated):
    for description in (plain, gated):
        values = json.loads(json.dumps(description.to_dict(), allow_nan=False))
        assert values["grid"]["window_px"] == list(description.grid.window_px)
        assert values["report"]["guarantee"] == description.report.guarantee
        assert len(values["report"]["layers"]) == len(description.report.layers)
        assert values["parameters"] == description.parameters > 0


def test_cells_are_text_and_not_markup():
    assert "[bold]x" in print_plain(make_table(("a", "b"), [("[bold]x", "[/]")]))
    assert (format_shape((2, 3)), format_shape(())) == ("2x3", "-")


def test_first_order_promises_nothing_of_the_sum():
    torch.manual_seed(0)
    padded = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    dense = fullyconv.convert(padded, (8, 8), border="first-order")
    text = " ".join(print_plain(lay_out_description(describe(dense))).split())
    assert "feature windows, in each of the runs that are summed: every score equals" in text
    assert "100.0% of it runs once for all windows, in each of the runs that are summed" in text
    assert "less one on the whole image; it is near that of crops" in text
    assert "4x1x1 4x4" in text  # the pool, of one window
    report = fullyconv.verify(dense, padded)
    assert str(report).startswith("passed (promised: feature windows, by each of the runs that border first-order sums")


def test_many_reasons_are_counted():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(6)]
    described = describe(fullyconv.convert(nn.Sequential(*layers, nn.Flatten(), nn.Linear(3 * 64, 2)), (8, 8)))
    text = print_plain(lay_out_description(described))
    assert text.count("pads rows by 1 and 1") == 3
    assert "3 more like these" in text
    assert len(described.to_dict()["report"]["guarantee_reasons"]) == 6
