"""Transposed convolutions make cells finer, and overlap."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

import fullyconv
from fullyconv.capture.torch_export import capture
from fullyconv.patches import TransposedConv
from planning import WINDOW, Between, check_crops, check_refused, pooled

# kernel, stride, padding, output padding, groups, dilation, bias: on a map of 4 x 3 cells, four pixels apart.
SHAPES = [
    (2, 2, 0, 0, 1, 1, True), (4, 4, 0, 0, 2, 1, False), ((4, 2), (4, 2), 0, 0, 1, 1, True), (3, 2, 1, 1, 1, 1, True),
    (4, 2, 1, 0, 3, 1, True), (3, 1, 1, 0, 1, 1, True), (3, 2, 0, 0, 1, 1, False), ((4, 2), 2, (1, 0), 0, 6, 1, True),
    (5, 4, 2, 3, 1, 1, True), (3, 2, 1, 0, 1, 2, True), (2, 4, 0, 2, 1, 1, True), (1, 2, 0, 1, 1, 1, True),
    (2, 2, 1, 0, 1, 1, True),
]  # fmt: skip


def make(shape: tuple) -> nn.Module:
    kernel, stride, padding, more, groups, dilation, bias = shape
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(6, 6, kernel, stride, padding, more, groups, bias, dilation)
    model = Between(lambda x, up: pooled(up(x).tanh()), 6, up=up).eval()
    model.stem.stride = (4, 4)
    return model


@pytest.mark.parametrize("shape", SHAPES)
def test_finer_cells_are_those_of_the_classifier(shape: tuple) -> None:
    model = make(shape)
    dense = fullyconv.convert(model, WINDOW)
    assert dense.report.tier == 1, dense.report
    report = fullyconv.verify(dense, model)
    assert report.passed, str(report)
    assert report.checked_beyond_window
    assert max(errors["float64"] for errors in report.errors.values()) < 1e-12


def test_blocks_that_do_not_overlap_equal_crops() -> None:
    check_crops(lambda x, up: pooled(up(x).tanh()), 5, {"up": nn.ConvTranspose2d(6, 5, 2, 2)})


@pytest.mark.parametrize("kernel", [2, 3])
def test_a_wrong_weight_is_seen(kernel: int) -> None:
    model = make((kernel, 2, 0, 0, 1, 1, True))
    dense = fullyconv.convert(model, WINDOW)
    with torch.no_grad():
        (up,) = [tensor for tensor in dense.module.state_dict().values() if tensor.shape == (6 * kernel**2, 6, 1, 1)]
        up[[0, kernel**2]] = up[[kernel**2, 0]]  # of two channels
    assert not fullyconv.verify(dense, model).passed


def by_itself(x: torch.Tensor) -> torch.Tensor:
    return torch.conv_transpose2d(x, x.permute(1, 0, 2, 3)).mean((1, 2, 3))[:, None]


REFUSED = {
    "of the window": (lambda x, up: pooled(up(x.amax((2, 3), keepdim=True))), 6, "after the head began"),
    "by the image's own weights": (lambda x, up: by_itself(x), 1, "weights depend on the image"),
    "to parts of pixels": (lambda x, up: pooled(up(up(up(x)))), 6, "smaller than a pixel"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    function, features, reason = REFUSED[name]
    check_refused(function, features, {"up": nn.ConvTranspose2d(6, 6, 2, 2)}, reason)


def test_its_arithmetic_is_counted() -> None:
    """Each of the 8 x 6 cells meets all weights once, however it was captured."""
    model = Between(lambda x, up: pooled(up(x)), 5, up=nn.ConvTranspose2d(6, 5, 3, 2, 1, 1)).eval()
    image = torch.rand(2, 3, *WINDOW)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's, of TorchScript
        traced = torch.jit.trace(model, image)
    for captured in (capture(model, WINDOW), capture(traced, WINDOW)):
        (macs,) = [node.macs for node in captured.graph.nodes if isinstance(node.op, TransposedConv)]
        assert macs == 8 * 6 * 6 * 5 * 3 * 3
