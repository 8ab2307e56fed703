"""Layers as Torch7 saves them, with random weights, and networks made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from torch7_writer import Obj, sizes

RANDOM = np.random.default_rng(0)


def randn(*shape: int) -> np.ndarray:
    return RANDOM.normal(0, 0.4, shape).astype(np.float32)


def layer(class_name: str, version: int | None = 1, **fields: Any) -> Obj:
    """A layer with the fields that Torch7 saves besides, which mean nothing for its result."""
    rest = {"train": True, "_type": "torch.FloatTensor", "output": np.zeros(0, np.float32)}
    library = "nn." if "." not in class_name else ""
    return Obj(library + class_name, rest | fields, version)


def container(class_name: str, *layers: Obj, **fields: Any) -> Obj:
    return layer(class_name, modules=list(layers), **fields)


def sequential(*layers: Obj) -> Obj:
    return container("Sequential", *layers)


def conv(inputs: int, outputs: int, k: int = 3, d: int = 1, name: str = "SpatialConvolution", **fields: Any) -> Obj:
    inside = inputs // int(fields.get("groups", 1))
    shape = (outputs, inside * k * k) if name.endswith("MM") else (outputs, inside, k, k)
    weights = {"weight": randn(*shape), "bias": randn(outputs)}
    named = {"nInputPlane": inputs, "nOutputPlane": outputs, "kW": k, "kH": k, "dW": d, "dH": d}
    return layer(name, **named | weights | fields)


def pool(name: str, k: int, d: int, **fields: Any) -> Obj:
    return layer(name, **{"kW": k, "kH": k, "dW": d, "dH": d} | fields)


def linear(inputs: int, outputs: int, **fields: Any) -> Obj:
    return layer("Linear", **{"weight": randn(outputs, inputs), "bias": randn(outputs)} | fields)


def norm(name: str, count: int, old: bool = False, affine: bool = True) -> Obj:
    spread = RANDOM.uniform(0.5, 1.5, count).astype(np.float32)
    fields = {"eps": 1e-3, "momentum": 0.1, "affine": affine, "running_mean": randn(count)}
    fields |= {"running_std": spread} if old else {"running_var": spread}
    fields |= {"weight": randn(count), "bias": randn(count)} if affine else {}
    return layer(name, version=1 if old else 2, **fields)


def relu(name: str = "ReLU") -> Obj:
    return layer(name, inplace=True, **{} if "cudnn" in name else {"threshold": 0, "val": 0})


def view(*shape: int, axes: int | None = None) -> Obj:
    return layer("View", size=sizes(*shape), numElements=abs(int(np.prod(shape))), numInputDims=axes)


def lenet(*head: Obj) -> Obj:
    """Tanh and pools without padding, on windows 1x20x28: a feature map 6x3x5 when the head begins."""
    trunk = (
        conv(1, 4, 5, name="SpatialConvolutionMM"), layer("Tanh"), pool("SpatialMaxPooling", 2, 2),
        conv(4, 6, 3, bias=None), relu(), pool("SpatialAveragePooling", 2, 2, divide=True),
    )  # fmt: skip
    return sequential(*trunk, *head)


def alexnet() -> Obj:
    """cudnn layers, groups, padding, pools that round up, dropout of the first version; windows 3x31x39."""
    return sequential(
        conv(3, 8, 5, 2, "cudnn.SpatialConvolution", padW=2, padH=2), relu("cudnn.ReLU"),
        pool("cudnn.SpatialMaxPooling", 3, 2, padW=0, padH=0, ceil_mode=True),
        conv(8, 12, 3, name="cudnn.SpatialConvolution", groups=2, padW=1, padH=1), relu("cudnn.ReLU"),
        norm("cudnn.SpatialBatchNormalization", 12), pool("SpatialMaxPooling", 3, 2, ceil_mode=True),
        view(12 * 4 * 5), layer("Dropout", p=0.5), linear(240, 10), norm("BatchNormalization", 10, old=True),
        layer("Threshold", threshold=0.1, val=-0.2), layer("Dropout", p=0.3, v2=True), linear(10, 4),
        layer("cudnn.LogSoftMax", mode="CUDNN_SOFTMAX_MODE_INSTANCE", algorithm="CUDNN_SOFTMAX_LOG"),
    )  # fmt: skip


def residual(inputs: int, outputs: int, stride: int) -> Obj:
    body = sequential(
        conv(inputs, outputs, 3, stride, padW=1, padH=1), norm("SpatialBatchNormalization", outputs), relu(),
        conv(outputs, outputs, 3, padding=1), norm("SpatialBatchNormalization", outputs, old=True, affine=False),
    )  # fmt: skip
    shortcut = layer("Identity") if inputs == outputs else sequential(conv(inputs, outputs, 1, stride))
    return sequential(container("ConcatTable", body, shortcut), layer("CAddTable", inplace=True), relu())


def resnet() -> Obj:
    """Residual blocks and a mean over the map; windows 3x32x32."""
    return sequential(
        conv(3, 8, 3, 2), relu(), residual(8, 8, 1), residual(8, 12, 2),
        pool("SpatialAveragePooling", 8, 1, ceil_mode=False, count_include_pad=True, divide=True, padW=0, padH=0),
        view(12, axes=3), linear(12, 5), layer("SoftMax"),
    )  # fmt: skip


def inception() -> Obj:
    """Branches that are joined by Concat and JoinTable, sums for means, spatial dropout; windows 2x21x24."""
    tower = sequential(
        layer("SpatialZeroPadding", pad_l=1, pad_r=1, pad_t=1, pad_b=1), conv(6, 3), layer("ELU", alpha=0.7)
    )
    pooled = sequential(pool("SpatialMaxPooling", 3, 1, padW=1, padH=1, ceil_mode=False), conv(6, 2, 1))
    joined = (
        container("ConcatTable", conv(8, 4, 1), conv(8, 4, 1)),
        container("ParallelTable", layer("LeakyReLU", negval=0.2), layer("PReLU", weight=randn(4), nOutputPlane=4)),
        layer("JoinTable", dimension=1, nInputDims=3),
    )
    return sequential(
        conv(2, 6, 4, 2), layer("PReLU", weight=randn(1), nOutputPlane=0),
        container("Concat", conv(6, 3, 1), tower, pooled, dimension=2), layer("SpatialDropout", p=0.25), *joined,
        pool("SpatialAveragePooling", 3, 3), layer("Reshape", size=sizes(8 * 3 * 3), batchMode=True),
        linear(72, 6, bias=None), layer("Sigmoid"), linear(6, 3),
    )  # fmt: skip
