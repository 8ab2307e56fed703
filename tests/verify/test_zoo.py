"""Every kind of classifier is verified, at sizes that leave rest pixels too."""

from __future__ import annotations

import pytest

import fullyconv
from zoo import ZOO, build


@pytest.mark.parametrize("name", ZOO)
def test_converted_networks_of_every_kind_pass(name):
    model = build(name)
    dense = fullyconv.convert(model, window=ZOO[name].window)
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    assert report.checked_beyond_window
    assert report.guarantee == ZOO[name].guarantee
    assert bool(report.fidelity) == (report.guarantee == "feature windows")
