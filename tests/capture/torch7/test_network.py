"""Whole networks of Torch7: found in a file, converted, and verified at every window."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import fullyconv
from fullyconv.capture.torch7 import load_torch7
from fullyconv.errors import CaptureError, ModelError
from torch7_layers import alexnet, container, conv, inception, layer, lenet, linear, relu, resnet, sequential, view
from torch7_reference import run
from torch7_writer import Function, Obj, write_t7

NETWORKS = {
    "lenet": (lenet(view(90), linear(90, 4), layer("LogSoftMax")), (1, 20, 28), "image crops", (4, 4)),
    "alexnet": (alexnet(), (3, 31, 39), "feature windows", (8, 8)),
    "resnet": (resnet(), (3, 32, 32), "feature windows", (4, 4)),
    "inception": (inception(), (2, 21, 24), "feature windows", (6, 6)),
}
WRITERS = {"new": {}, "32 bits": {"long_bytes": 4}, "cuda": {"cuda": True}}


@pytest.fixture
def save(tmp_path):
    def write(value, **options):
        path = tmp_path / "model.t7"
        path.write_bytes(write_t7(value, **options))
        return path

    return write


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_what_torch7_computes(name, writer, save):
    net, shape, _, _ = NETWORKS[name]
    x = np.random.default_rng(2).normal(size=(2, *shape))
    module = load_torch7(save(net, **WRITERS[writer]))
    assert not module.training
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    with torch.no_grad():
        scores = module.double()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(scores, run(net, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_converted(name, save):
    net, shape, guarantee, stride = NETWORKS[name]
    path = save(net)
    dense = fullyconv.convert(path, window=shape[1:])
    report = fullyconv.verify(dense, path)
    assert report.passed, str(report)
    assert (dense.report.tier, report.guarantee, dense.grid.stride_px) == (1, guarantee, stride)


def test_scores_are_those_that_torch7_gives_for_crops(save):
    net, shape, _, (sy, sx) = NETWORKS["lenet"]
    dense = fullyconv.convert(str(save(net)), window=shape[1:])
    image = np.random.default_rng(3).normal(size=(1, 20 + 2 * sy + 3, 28 + sx + 1)).astype(np.float32)
    scores = dense(torch.from_numpy(image)[None])
    assert scores.shape == (1, 4, 3, 2)
    for i in range(3):
        for j in range(2):
            crop = image[None, :, i * sy : i * sy + 20, j * sx : j * sx + 28].astype(np.float64)
            np.testing.assert_allclose(scores[0, :, i, j], run(net, np.repeat(crop, 2, 0))[0], rtol=1e-4, atol=1e-5)


def test_several_outputs(save):
    heads = container("ConcatTable", sequential(linear(90, 4), layer("SoftMax")), linear(90, 1))
    path = save(lenet(view(-1, 90), heads))
    dense = fullyconv.convert(path, window=(20, 28))
    assert len(dense(torch.rand(1, 1, 24, 32))) == 2
    assert fullyconv.verify(dense, path).passed


def test_the_network_of_a_checkpoint_is_found(save):
    things = {"model": lenet(), "criterion": layer("ClassNLLCriterion"), "epoch": 3, "optim": {"state": {}}}
    things |= {"weights": np.zeros(3, np.float32), "copy": things["model"], "hook": Function()}
    assert len(load_torch7(save(things))) == 6


HOLDS = {
    "nothing": (None, "expected a network such as nn.Sequential, got nothing"),
    "a number": (3, "expected a network such as nn.Sequential, got 3.0"),
    "a tensor": (np.zeros((2, 3), np.float32), r"got a tensor of the shape \(2, 3\)"),
    "a function": (Function(), "expected a network such as nn.Sequential, got a Lua function"),
    "no network": ({"epoch": 3}, "expected a network such as nn.Sequential, got a table"),
    "two": (
        {"a": relu(), "b": layer("gModule")},
        r"expected one network, got a table with a \(nn.ReLU\), b \(nn.gModule",
    ),
}


@pytest.mark.parametrize("name", HOLDS)
def test_a_file_without_one_network_is_refused(name, save):
    value, message = HOLDS[name]
    with pytest.raises(ModelError, match=f"model.t7: .*{message}"):
        load_torch7(save(value))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"none.t7: expected a Torch7 file \(.t7\), got No such file"):
        load_torch7(tmp_path / "none.t7")


def test_a_network_that_holds_itself_is_refused(save):
    net = sequential(relu())
    net.fields["modules"].append(net)
    with pytest.raises(ModelError, match=r"layer 1 \(nn.Sequential\): it holds itself"):
        load_torch7(save(net))


def test_networks_without_end_are_refused(save):
    doubled = sequential(relu())
    for _ in range(20):
        doubled = sequential(doubled, doubled)
    with pytest.raises(ModelError, match="196607 layers, 18 deep in each other, are more than a network has"):
        load_torch7(save(doubled))
    chain = [sequential(relu())]
    for _ in range(70):
        chain.append(sequential(chain[-1]))
    with pytest.raises(ModelError, match="61 deep in each other, are more than a network has"):
        load_torch7(save(sequential(*chain)))
    with pytest.raises(ModelError, match="it lies in more than 60 containers"):
        load_torch7(save({"layers": chain, "model": Obj("nn.Sequential", {"modules": chain[::-1]})}))


def test_changed_bytes_never_do_more_than_fail(save):
    path = save(NETWORKS["inception"][0])
    content, random, outcomes = path.read_bytes(), np.random.default_rng(0), set()
    for _ in range(100):
        changed = bytearray(content)
        for place in random.integers(0, len(content), 2):
            changed[place] = random.choice([0, 1, 3, 4, 63, 128, 255])
        path.write_bytes(changed)
        try:
            outcomes.add(load_torch7(path).training)
        except ModelError:
            outcomes.add(ModelError)
    assert outcomes == {False, ModelError}


def test_a_layer_in_two_places_is_one(save):
    shared = conv(1, 1)
    module = load_torch7(save(sequential(shared, relu(), shared)))
    assert module[0] is module[2]


def test_reading_draws_no_random_numbers(save):
    path = save(resnet())
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    load_torch7(path)
    assert torch.equal(torch.rand(3), expected)


def test_a_wrong_window_says_what_was_expected(save):
    path = save(NETWORKS["lenet"][0])
    with pytest.raises(CaptureError, match=r"expected \(90,\) for each image, got \(6, 4, 5\)"):
        fullyconv.convert(path, window=(24, 28))


def test_infinite_weights_are_refused(save):
    net = sequential(conv(1, 2, 3, bias=np.array([1e300, 0.0])), view(2), linear(2, 1))
    with pytest.raises(ModelError, match=r"0\.bias: expected finite weights"):
        fullyconv.convert(save(net), window=(3, 3))
