"""Each layer of Torch7 against a slow reference, and parameters that are refused instead of guessed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fullyconv.capture.torch7.network import build_network
from fullyconv.capture.torch7.reader import read_values
from fullyconv.errors import ModelError
from torch7_layers import container, conv, layer, linear, norm, pool, randn, relu, sequential, view
from torch7_reference import run
from torch7_writer import Function, Obj, View, sizes, write_t7

MAP, ROW = (3, 4, 7, 9), (3, 12)
POOL = "SpatialAveragePooling"
NEW = {"ceil_mode": False, "count_include_pad": True, "divide": True, "padW": 0, "padH": 0}
CUDNN_MODE = {"mode": "CUDNN_SOFTMAX_MODE_CHANNEL", "algorithm": "CUDNN_SOFTMAX_ACCURATE"}

GOOD = {
    "convolution": (conv(4, 5), MAP),
    "flat weights": (conv(4, 5, 3, 2, "SpatialConvolutionMM"), MAP),
    "oblong": (conv(4, 5, 3, kW=2, kH=4, dW=3, dH=2, weight=randn(5, 4, 4, 2), padW=1, padH=2), MAP),
    "one padding": (conv(4, 5, padding=2, padW=1, padH=1), MAP),
    "no bias": (conv(4, 5, bias=None), MAP),
    "groups": (conv(4, 6, name="cudnn.SpatialConvolution", groups=2, padW=1, padH=1), MAP),
    "depthwise": (conv(4, 8, name="cudnn.SpatialConvolution", groups=4), MAP),
    "max": (pool("SpatialMaxPooling", 3, 2), MAP),
    "max, oblong": (pool("SpatialMaxPooling", 2, 2, kW=4, dH=1, padW=2, padH=1, ceil_mode=False), MAP),
    "max, up": (pool("SpatialMaxPooling", 2, 2, ceil_mode=True), MAP),
    "max, padded up": (pool("cudnn.SpatialMaxPooling", 3, 2, padW=1, padH=1, ceil_mode=True), MAP),
    "sum": (pool(POOL, 3, 2), MAP),
    "sum, said": (pool(POOL, 3, 2, **NEW | {"divide": False, "padH": 1}), MAP),
    "sum, up and not counted": (
        pool(POOL, 3, 2, **NEW | {"divide": False, "ceil_mode": True, "padW": 1, "count_include_pad": False}), MAP
    ),
    "mean": (pool(POOL, 3, 2, divide=True), MAP),
    "mean before padding existed": (pool(POOL, 3, 2, divide=True, padW=None), MAP),
    "mean, up": (pool(POOL, 2, 2, **NEW | {"ceil_mode": True}), MAP),
    "mean, padded up": (pool(POOL, 4, 3, **NEW | {"ceil_mode": True, "padW": 1, "padH": 1}), MAP),
    "mean, padded": (pool(POOL, 3, 2, **NEW | {"padW": 1, "padH": 1}), MAP),
    "mean, not counted": (pool(POOL, 3, 2, **NEW | {"padW": 1, "padH": 1, "count_include_pad": False}), MAP),
    "mean of cudnn": (pool("cudnn." + POOL, 3, 2, ceil_mode=False, padW=1, padH=0), MAP),
    "mean of cudnn by convert": (pool("cudnn." + POOL, 3, 2, divide=True, count_include_pad=False), MAP),
    "one padding of cudnn": (conv(4, 5, name="cudnn.SpatialConvolution", padding=1, padW=1, padH=1), MAP),
    "zeros": (layer("SpatialZeroPadding", pad_l=1, pad_r=2, pad_t=3, pad_b=0), MAP),
    "zeros and cuts": (layer("SpatialZeroPadding", pad_l=-1, pad_r=2, pad_t=0, pad_b=-2), MAP),
    "row": (view(4 * 7 * 9), MAP),
    "row by the rest": (view(-1, axes=3), MAP),
    "row of a batch": (view(-1, 4 * 7 * 9), MAP),
    "map": (view(2, 2, 63), MAP),
    "map of a batch": (view(-1, 2, 2, 63), MAP),
    "map by the rest": (view(2, -1, 9, axes=3), MAP),
    "map of a row": (view(3, 2, 2), ROW),
    "reshape": (layer("Reshape", size=sizes(4 * 7 * 9)), MAP),
    "reshape to a map": (layer("Reshape", size=sizes(12, 7, 3), batchMode=True), MAP),
    "linear": (linear(12, 5), ROW),
    "linear without bias": (linear(12, 5, bias=None), ROW),
    "norm": (norm("SpatialBatchNormalization", 4), MAP),
    "old norm": (norm("SpatialBatchNormalization", 4, old=True), MAP),
    "plain norm": (norm("cudnn.SpatialBatchNormalization", 4, affine=False), MAP),
    "norm of rows": (norm("BatchNormalization", 12), ROW),
    "old norm of rows": (norm("cudnn.BatchNormalization", 12, old=True, affine=False), ROW),
    "relu": (relu(), MAP),
    "relu of cudnn": (relu("cudnn.ReLU"), MAP),
    "threshold": (layer("Threshold", threshold=0.3, val=-1.5), MAP),
    "low threshold": (layer("Threshold", threshold=1e-6, val=0), MAP),
    "tanh": (layer("Tanh"), MAP),
    "tanh of cudnn": (layer("cudnn.Tanh"), MAP),
    "sigmoid": (layer("cudnn.Sigmoid"), ROW),
    "slope": (layer("PReLU", weight=randn(1), nOutputPlane=0), MAP),
    "slopes": (layer("PReLU", weight=randn(4), nOutputPlane=4), MAP),
    "slopes of rows": (layer("PReLU", weight=randn(12), nOutputPlane=12), ROW),
    "leaky": (layer("LeakyReLU", negval=0.3), MAP),
    "elu": (layer("ELU", alpha=1.7), MAP),
    "dropout": (layer("Dropout", p=0.3, v2=True), ROW),
    "first dropout": (layer("Dropout", p=0.3, v2=False), ROW),
    "dropout before there was a second": (layer("Dropout", p=0.3), MAP),
    "no dropout": (layer("Dropout", p=0), MAP),
    "spatial dropout": (layer("SpatialDropout", p=0.3), MAP),
    "softmax": (layer("SoftMax"), ROW),
    "softmax of maps": (layer("SoftMax"), MAP),
    "log": (layer("LogSoftMax"), ROW),
    "log of maps": (layer("SpatialLogSoftMax"), MAP),
    "softmax of cudnn": (layer("cudnn.SoftMax"), ROW),
    "maps of cudnn": (layer("cudnn.SpatialSoftMax", **CUDNN_MODE), MAP),
    "log of maps of cudnn": (layer("cudnn.SpatialLogSoftMax", **{**CUDNN_MODE, "algorithm": "CUDNN_SOFTMAX_LOG"}), MAP),
    "identity": (layer("Identity"), MAP),
    "concat": (container("Concat", conv(4, 2), conv(4, 3), dimension=2), MAP),
    "concat of rows": (container("Concat", linear(12, 2), layer("Identity"), dimension=2), ROW),
    "concat along y": (container("Concat", conv(4, 2), conv(4, 2), dimension=3), MAP),
    "branches": (container("ConcatTable", conv(4, 2), layer("Tanh")), MAP),
    "sum of branches": (sequential(container("ConcatTable", relu(), layer("Tanh"), relu()), layer("CAddTable")), MAP),
    "parallel": (
        sequential(
            container("ConcatTable", conv(4, 2), conv(4, 3)), container("ParallelTable", relu(), layer("Tanh")),
            layer("JoinTable", dimension=2),
        ),
        MAP,
    ),
    "join by images": (
        sequential(container("ConcatTable", conv(4, 2), conv(4, 3)), layer("JoinTable", dimension=1, nInputDims=3)), MAP
    ),
    "join from the end": (
        sequential(container("ConcatTable", linear(12, 2), linear(12, 3)), layer("JoinTable", dimension=-1)), ROW
    ),
    "nothing": (sequential(), MAP),
}  # fmt: skip


def load(net, **options):
    return build_network(read_values(write_t7(net, **options)))


def make(shape):
    return np.random.default_rng(1).normal(size=shape)


def compute(net, x):
    with torch.no_grad():
        made = load(net).double()(torch.from_numpy(x))
    return [part.numpy() for part in (made if isinstance(made, tuple) else (made,))]


def check(made, expected):
    assert len(made) == len(expected)
    for ours, theirs in zip(made, expected, strict=True):
        assert ours.shape == theirs.shape
        # Deviations of old files become variances in float32: half a unit in their last place, 6e-8.
        np.testing.assert_allclose(ours, theirs, rtol=2e-7, atol=2e-7)


@pytest.mark.parametrize("name", GOOD)
def test_layers_compute_what_torch7_computes(name):
    net, shape = GOOD[name]
    x = make(shape)
    expected = run(net, x)
    check(compute(net, x), expected if isinstance(expected, list) else [expected])


SINGLE = {
    "view": (sequential(view(-1), linear(252, 3)), MAP),
    "view of a map": (sequential(view(4, 7, 9), conv(4, 2), view(-1), linear(70, 3), layer("SoftMax")), MAP),
    "reshape": (sequential(layer("Reshape", size=sizes(252), batchMode=False), linear(252, 3)), MAP),
}


@pytest.mark.parametrize("name", SINGLE)
def test_layers_that_drop_the_batch_treat_each_image_as_it_is_alone(name):
    net, shape = SINGLE[name]
    x = make(shape)
    check(compute(net, x), [np.stack([run(net, image) for image in x])])


def test_the_reference_notices_a_wrong_weight():
    net, shape = GOOD["linear"]
    made = compute(net, make(shape))
    net = linear(12, 5)
    with pytest.raises(AssertionError):
        check(made, [run(net, make(shape))])


def without(net, name):
    return Obj(net.class_name, {key: value for key, value in net.fields.items() if key != name}, net.version)


def change(net, **fields):
    return Obj(net.class_name, net.fields | fields, net.version)


REFUSED = {
    "unknown": (sequential(relu(), layer("SpatialSubSampling")), r"layer 1 \(nn.SpatialSubSampling\): this class of"),
    "foreign": (container("Sequential", layer("inn.MeanVar")), r"\(inn.MeanVar\): this class of layers is not known"),
    "graph": (layer("gModule"), r"layer at the top \(nn.gModule\): this class of layers is not known"),
    "its own forward": (change(relu(), updateOutput=Function()), "updateOutput is a Lua function of its own, and no"),
    "no kernel": (without(conv(4, 5), "kW"), "kW: expected a whole number of at least 1, got nothing"),
    "half a kernel": (change(conv(4, 5), kW=1.5), "kW: expected a whole number of at least 1, got 1.5"),
    "no stride": (change(conv(4, 5), dW=0), "dW: expected a whole number of at least 1, got 0.0"),
    "text": (change(conv(4, 5), kH="3"), "kH: expected a whole number of at least 1, got '3'"),
    "negative padding": (change(conv(4, 5), padW=-1), "padW: expected a whole number from 0 to 1024, got -1.0"),
    "wide padding": (change(conv(4, 5), padding=9999), "padding: expected a whole number from 0 to 1024, got 9999.0"),
    "wide zeros": (
        layer("SpatialZeroPadding", pad_l=1, pad_r=1, pad_t=1, pad_b=2e9), "pad_b: expected a whole number from -1024"
    ),
    "nan": (layer("LeakyReLU", negval=float("nan")), "negval: expected a number, got nan"),
    "flag": (change(pool("SpatialMaxPooling", 2, 2), ceil_mode=1), "ceil_mode: expected a boolean, got 1.0"),
    "weight": (change(conv(4, 5), weight=randn(5, 4, 3, 2)), r"weight: expected a tensor of the shape \(5, 4,"),
    "bias": (change(conv(4, 5), bias=randn(4)), r"bias: expected a tensor of the shape \(5,\), got a tensor"),
    "no weight": (without(conv(4, 5), "weight"), r"weight: expected a tensor of the shape .*, got nothing"),
    "expanded": (
        change(conv(4, 5), bias=View(randn(1), (5,), (0,))), r"bias: sizes \(5,\) are more than what is stored"
    ),
    "flat groups": (change(conv(4, 6, groups=2), weight=randn(6, 18)), r"expected a tensor of the shape \(6, 2,"),
    "groups": (change(conv(4, 6), groups=4), "groups: expected a divisor of 4 and 6, got 4"),
    "windows outside": (pool("SpatialMaxPooling", 1, 3, ceil_mode=True), "no window begins outside of the image"),
    "uncounted": (pool(POOL, 2, 2, ceil_mode=True, divide=True), "count_include_pad: expected a boolean"),
    "cudnn rounding": (pool("cudnn." + POOL, 2, 2, ceil_mode=True), "what cuDNN divides by at the border"),
    "cudnn sum": (pool("cudnn." + POOL, 2, 2, divide=False), "expected a mean that counts padding"),
    "cudnn padding": (conv(4, 5, name="cudnn.SpatialConvolution", padding=1, padW=2), "expected what padH and padW"),
    "old padding": (pool(POOL, 2, 2, padW=1, divide=True), r"expected 0 where there is no ceil_mode, got \(0, 1\)"),
    "cudnn uncounted": (
        pool("cudnn." + POOL, 2, 2, count_include_pad=False, padW=1, ceil_mode=False), "expected a mean that counts"
    ),
    "inferred late": (view(4, -1), r"expected -1 in front, or numInputDims, got \(4, -1\)"),
    "inferred twice": (view(-1, -1), r"size: expected one -1 at the most, got \(-1, -1\)"),
    "rows of rows": (view(4, 63), r"size: expected a row or \(C, H, W\) for each image, got \(4, 63\)"),
    "empty": (view(0), r"size: expected a row or \(C, H, W\) for each image, got \(0,\)"),
    "no sizes": (change(view(4), size=[4]), "size: expected sizes, got a table"),
    "float sizes": (change(view(4), size=randn(1)), r"size: expected sizes, got a tensor of the shape \(1,\)"),
    "reshaped batch": (layer("Reshape", size=sizes(4, 63), batchMode=False), "batchMode: expected true or nothing"),
    "reshaped rest": (layer("Reshape", size=sizes(-1)), "size: expected whole numbers of at least 1"),
    "linear": (layer("Linear", weight=randn(5)), r"weight: expected a tensor with rank 2, got a tensor"),
    "no mean": (without(norm("BatchNormalization", 4), "running_mean"), "running_mean: expected a tensor with rank 1"),
    "new norm with deviation": (
        change(norm("BatchNormalization", 4), running_var=None, running_std=randn(4)), "running_var: exp"
    ),
    "negative variance": (
        change(norm("BatchNormalization", 2), running_var=np.float32([1, -1])), "expected more than -eps"
    ),
    "softmax mode": (
        layer("cudnn.SpatialSoftMax", mode="CUDNN_SOFTMAX_MODE_INSTANCE"), "mode: expected CUDNN_SOFTMAX_MODE_CH"
    ),
    "softmax algorithm": (
        layer("cudnn.SoftMax", algorithm="CUDNN_SOFTMAX_LOG"), "algorithm: expected CUDNN_SOFTMAX_ACCURATE, got"
    ),
    "random": (layer("Dropout", p=0.5, v2=True, stochastic_inference=True), "its scores would be random"),
    "spatially random": (layer("SpatialDropout", p=0.5, stochasticInference=True), "its scores would be random"),
    "all dropped": (layer("Dropout", p=1), "p: expected 0 <= p < 1, got 1.0"),
    "joined images": (container("Concat", relu(), relu(), dimension=1), "joined along another axis than the batch"),
    "no branches": (container("Concat", dimension=2), "expected branches that are joined"),
    "no axis": (layer("JoinTable", dimension=0), "dimension: expected an axis, counted from 1 or from the end, got 0"),
    "no layers": (layer("Sequential", modules=3), "modules: expected a list of layers, got 3.0"),
    "gap": (layer("Sequential", modules={1.0: relu(), 3.0: relu()}), "modules: expected a list of layers, got a tab"),
    "number among layers": (layer("Sequential", modules=[relu(), 2]), "modules: expected a list of layers, got a tab"),
    "storage for a tensor": (change(linear(4, 2), bias=sizes(1, 2)), "expected a tensor .* got a storage of 2 numbers"),
    "layer for a tensor": (change(linear(4, 2), bias=relu()), "expected a tensor .* got nn.ReLU"),
    "function for a number": (
        change(pool("SpatialMaxPooling", 2, 2), kW=Function()), "kW is a Lua function of its own"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused(name):
    net, message = REFUSED[name]
    with pytest.raises(ModelError, match=message):
        load(net)


def test_functions_that_only_train_are_ignored():
    net = change(linear(12, 5), accGradParameters=Function(), updateGradInput=Function(7))
    check(compute(net, make(ROW)), [run(net, make(ROW))])


UNFIT = {
    "too few": (view(100), MAP, r"expected \(100,\) for each image, got \(4, 7, 9\)"),
    "several rows of an image": (view(-1, 63), MAP, r"expected \(63,\) for each image, got \(4, 7, 9\)"),
    "rest": (view(5, -1, 1, axes=3), MAP, r"expected \(5, -1, 1\) for each image, got \(4, 7, 9\)"),
    "axes": (view(-1, axes=2), MAP, r"nn.View: expected images with 2 axes, got \(4, 7, 9\)"),
    "linear": (linear(9, 2), MAP, r"nn.Linear: expected \(N, 9\), got \(3, 4, 7, 9\)"),
    "softmax": (layer("cudnn.SoftMax"), MAP, r"cudnn.SoftMax or LogSoftMax: expected \(N, C\), got \(3, 4, 7, 9\)"),
    "batch": (
        sequential(container("ConcatTable", relu(), relu()), layer("JoinTable", dimension=1)), ROW, "axis 1 of 2"
    ),
    "batch from the end": (
        sequential(container("ConcatTable", relu(), relu()), layer("JoinTable", dimension=-2)), ROW, "axis -2 of 2"
    ),
    "no such axis": (container("Concat", relu(), relu(), dimension=3), ROW, "axis 3 of 2 is the batch, or is not"),
    "no table": (layer("CAddTable"), ROW, r"nn.CAddTable: expected a table of tensors, got a tensor \(3, 12\)"),
    "nested": (
        sequential(container("ConcatTable", container("ConcatTable", relu())), layer("JoinTable", dimension=2)), ROW,
        r"nn.JoinTable: expected a table of tensors, got a table of a table of a tensor \(3, 12\)",
    ),
    "shapes": (
        sequential(container("ConcatTable", linear(12, 1), linear(12, 2)), layer("CAddTable")), ROW,
        r"nn.CAddTable: expected one shape, got a table of a tensor \(3, 1\), a tensor \(3, 2\)",
    ),
    "entries": (
        sequential(container("ConcatTable", relu(), relu()), container("ParallelTable", relu())), ROW,
        "nn.ParallelTable: expected a table of 1, got a table of a tensor",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_what_does_not_fit_fails_when_it_runs(name):
    net, shape, message = UNFIT[name]
    with pytest.raises(ModelError, match=message):
        compute(net, make(shape))
