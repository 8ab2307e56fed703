"""The table of runtimes: measured on the same image, failures named, and put where it belongs."""

from __future__ import annotations

import pytest
import runtimes
from runtimes import BEGIN, DOCUMENT, END, NETWORKS, Network, Row, lay_out, measure, replace_table

from fullyconv.runtime.specification import parse_runtime

SMALL = Network("small", runtimes.build_demo, (25, 25), 1, (40, 50))


def test_every_runtime_is_measured_against_torch():
    rows = {row.runtime: row for row in measure(SMALL, ("torch", "openvino", "nonsense"), 0.0)}
    assert (rows["torch"].ratio, rows["torch"].error) == (1.0, 0.0)
    assert rows["openvino"].seconds > 0
    assert rows["openvino"].error < 1e-5
    assert rows["nonsense"].problem.startswith("OptionError: runtime 'nonsense'")


@pytest.mark.parametrize("name", runtimes.RUNTIMES)
def test_every_runtime_is_one(name):
    assert parse_runtime(name, "fast" if "float" in name else "exact").name == name


def test_networks_convert_wholly():
    assert [network.name for network in NETWORKS] == ["demo", "VGG16-like", "MobileNet-like"]
    dense = runtimes.fullyconv.convert(runtimes.build_mobilenet(), (96, 96))
    assert dense.report.tier == 1


def test_the_table_tells_failures():
    table = lay_out([Row("a", "torch", 0.5, 1.0, 0.0), Row("a", "openvino", problem="absent")])
    assert table.splitlines()[2:] == ["| a | torch | 0.5 | 1.00 | 0e+00 |", "| a | openvino | - | - | absent |"]


def test_only_the_table_is_replaced():
    text = DOCUMENT.read_text()
    again = replace_table(text, "| new |")
    assert again.partition(BEGIN)[0] == text.partition(BEGIN)[0]
    assert again.partition(END)[2] == text.partition(END)[2]
    assert f"{BEGIN}\n| new |\n{END}" in again
