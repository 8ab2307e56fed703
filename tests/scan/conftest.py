"""Converted networks to scan with: without padding, with padding, and with a head that runs on windows."""

from collections.abc import Iterator

import pytest
import torch

import fullyconv
from fullyconv import DenseModel
from scanned import Branches, build_gated, build_padded, build_plain, build_u_shaped

NETWORKS = {
    "plain": (build_plain, (14, 18), "image"),
    "padded": (build_padded, (16, 16), "image"),
    "padded to first order": (build_padded, (16, 16), "first-order"),
    "padded like crops": (build_padded, (16, 16), "window"),
    "u-shaped": (lambda: build_u_shaped(0), (16, 16), "image"),
    "u-shaped, padded": (lambda: build_u_shaped(1), (16, 16), "image"),
    "u-shaped, padded to first order": (lambda: build_u_shaped(1), (16, 16), "first-order"),
    "gated": (build_gated, (16, 16), "image"),
    "gated to first order": (build_gated, (16, 16), "first-order"),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many threads cost more than they bring on tensors this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=NETWORKS)
def dense(request: pytest.FixtureRequest) -> DenseModel:
    torch.manual_seed(5)
    build, window, border = NETWORKS[request.param]
    return fullyconv.convert(build().eval(), window=window, border=border)


@pytest.fixture
def dense_with_branches() -> DenseModel:
    torch.manual_seed(5)
    return fullyconv.convert(Branches(build_plain()).eval(), window=(14, 18))


@pytest.fixture
def dense_with_margins() -> DenseModel:
    torch.manual_seed(5)
    return fullyconv.convert(build_padded().eval(), window=(16, 16))
