"""Torch7's layers at evaluation, slow and obvious, in float64: on one image `(C, H, W)` or on a batch `(N, C, H, W)`.

It works on what the tests write, and shares nothing with the code that reads `.t7` files.
"""

from __future__ import annotations

from math import ceil, floor, prod
from typing import Any

import numpy as np

from torch7_writer import Obj


def run(layer: Obj, x: Any) -> Any:
    """What Torch7's `layer:evaluate():forward(x)` gives."""
    library, name = layer.class_name.split(".")
    fields = {key: value for key, value in layer.fields.items() if value is not None}
    return RULES[name](fields | {"library": library, "version": layer.version}, x)


def by_image(function):
    """Lets a rule for `(C, H, W)` work on batches, too."""

    def rule(f, x):
        return np.stack([function(f, image) for image in x]) if x.ndim == 4 else function(f, x)

    return rule


def convolve(f, image):
    pads = (f["padding"], f["padding"]) if "padding" in f else (f.get("padH", 0), f.get("padW", 0))
    groups, outputs = int(f.get("groups", 1)), int(f["nOutputPlane"])
    inside, across = int(f["nInputPlane"]) // groups, outputs // groups
    weight = np.asarray(f["weight"], np.float64).reshape(outputs, inside, int(f["kH"]), int(f["kW"]))
    padded = np.pad(image, [(0, 0), (int(pads[0]),) * 2, (int(pads[1]),) * 2])
    height = (padded.shape[1] - weight.shape[2]) // int(f["dH"]) + 1
    width = (padded.shape[2] - weight.shape[3]) // int(f["dW"]) + 1
    result = np.zeros((outputs, height, width))
    for o in range(outputs):
        part = padded[o // across * inside :][:inside]
        for i in range(height):
            for j in range(width):
                y, x = i * int(f["dH"]), j * int(f["dW"])
                result[o, i, j] = (weight[o] * part[:, y : y + weight.shape[2], x : x + weight.shape[3]]).sum()
    bias = f.get("bias")
    return result if bias is None else result + np.asarray(bias, np.float64)[:, None, None]


def find_windows(f, size, axis):
    """For each window its first and last + 1 pixel, and how far it counts with padding."""
    k, d = int(f["k" + axis]), int(f["d" + axis])
    p = int(f.get("pad" + axis, 0))
    count = (ceil if f.get("ceil_mode") else floor)((size + 2 * p - k) / d) + 1
    if any(f.get(name) for name in ("padH", "padW")) and (count - 1) * d >= size + p:
        count -= 1
    starts = [i * d - p for i in range(count)]
    return [(max(s, 0), min(s + k, size), min(s + k, size + p) - s) for s in starts]


def pool(f, image, reduce):
    rows, columns = find_windows(f, image.shape[1], "H"), find_windows(f, image.shape[2], "W")
    return np.array(
        [
            [
                [reduce(plane[top:bottom, left:right], rs * cs) for left, right, cs in columns]
                for top, bottom, rs in rows
            ]
            for plane in image
        ]
    )


def pool_average(f, image):
    includes = f.get("count_include_pad", True)
    result = pool(f, image, lambda cells, counted: cells.sum() / (counted if includes else cells.size))
    is_sum = f["library"] == "nn" and not f.get("divide")
    return result * f["kH"] * f["kW"] if is_sum else result


def pad_zeros(f, image):
    pads = [(0, 0), (f["pad_t"], f["pad_b"]), (f["pad_l"], f["pad_r"])]
    padded = np.pad(image, [(max(int(a), 0), max(int(b), 0)) for a, b in pads])
    ends = [padded.shape[axis] + min(int(b), 0) for axis, (_, b) in enumerate(pads)]
    return padded[:, -min(int(pads[1][0]), 0) : ends[1], -min(int(pads[2][0]), 0) : ends[2]]


def view(f, x):
    sizes, axes = [int(v) for v in f["size"].values], int(f.get("numInputDims", x.ndim))
    elements = prod(size for size in sizes if size >= 0)
    inside = prod(x.shape[x.ndim - axes :])
    assert inside % elements == 0, "input view and desired view do not match"
    batch = (1 if -1 in sizes else inside // elements) * prod(x.shape[: x.ndim - axes])
    drops = batch == 1 and ("numInputDims" not in f or x.ndim <= axes)
    return x.reshape(sizes if drops else [batch, *sizes])


def reshape(f, x):
    sizes = [int(v) for v in f["size"].values]
    mode = f.get("batchMode")
    whole = mode is False or (mode is None and x.size == prod(sizes) and x.shape[0] != 1)
    return x.reshape(sizes if whole else [x.shape[0], *sizes])


def linear(f, x):
    assert x.ndim in (1, 2), "input must be vector or matrix"
    weight = np.asarray(f["weight"], np.float64)
    rows = np.array([[np.dot(row, unit) for unit in weight] for row in np.atleast_2d(x)])
    rows = rows + np.asarray(f["bias"], np.float64) if "bias" in f else rows
    return rows if x.ndim == 2 else rows[0]


def channels(x):
    """Which axis has the channels."""
    return {1: 0, 2: 1, 3: 0, 4: 1}[x.ndim]


def spread(values, x, axis):
    shape = [1] * x.ndim
    shape[axis] = -1
    return np.asarray(values, np.float64).reshape(shape)


def normalise(f, x):
    assert x.ndim in (2, 4), "only mini-batch supported"
    if "running_std" in f:
        inverse = np.asarray(f["running_std"], np.float64)
    else:
        inverse = 1 / np.sqrt(np.asarray(f["running_var"], np.float64) + f["eps"])
    y = (x - spread(f["running_mean"], x, 1)) * spread(inverse, x, 1)
    y = y * spread(f["weight"], x, 1) if "weight" in f else y
    return y + spread(f["bias"], x, 1) if "bias" in f else y


def softmax(f, x):
    powers = np.exp(x - x.max(channels(x), keepdims=True))
    return powers / powers.sum(channels(x), keepdims=True)


def prelu(f, x):
    slopes = np.asarray(f["weight"], np.float64)
    return np.where(x > 0, x, x * (spread(slopes, x, channels(x)) if f["nOutputPlane"] else slopes[0]))


def threshold(f, x):
    return np.where(x > f.get("threshold", 0), x, f.get("val", 0))


def sequence(f, x):
    for layer in f["modules"]:
        x = run(layer, x)
    return x


def join(f, tables):
    axis = int(f["dimension"])
    if axis < 0:
        axis = tables[0].ndim + axis + 1
    elif "nInputDims" in f and tables[0].ndim == f["nInputDims"] + 1:
        axis += 1
    return np.concatenate(tables, axis - 1)


RULES = {
    "Sequential": sequence,
    "Concat": lambda f, x: np.concatenate([run(layer, x) for layer in f["modules"]], int(f["dimension"]) - 1),
    "ConcatTable": lambda f, x: [run(layer, x) for layer in f["modules"]],
    "ParallelTable": lambda f, x: [run(layer, entry) for layer, entry in zip(f["modules"], x, strict=True)],
    "CAddTable": lambda f, x: np.sum(x, 0),
    "JoinTable": join,
    "Identity": lambda f, x: x,
    "SpatialConvolution": by_image(convolve),
    "SpatialConvolutionMM": by_image(convolve),
    "SpatialMaxPooling": by_image(lambda f, x: pool(f, x, lambda cells, counted: cells.max())),
    "SpatialAveragePooling": by_image(pool_average),
    "SpatialZeroPadding": by_image(pad_zeros),
    "View": view,
    "Reshape": reshape,
    "Linear": linear,
    "BatchNormalization": normalise,
    "SpatialBatchNormalization": normalise,
    "ReLU": threshold,
    "Threshold": threshold,
    "Tanh": lambda f, x: np.tanh(x),
    "Sigmoid": lambda f, x: 1 / (1 + np.exp(-x)),
    "PReLU": prelu,
    "LeakyReLU": lambda f, x: np.where(x > 0, x, f["negval"] * x),
    "ELU": lambda f, x: np.where(x > 0, x, f["alpha"] * (np.exp(x) - 1)),
    "Dropout": lambda f, x: x if f.get("v2") else x * (1 - f["p"]),
    "SpatialDropout": lambda f, x: x * (1 - f["p"]),
    "SoftMax": softmax,
    "LogSoftMax": lambda f, x: np.log(softmax(f, x)),
    "SpatialSoftMax": softmax,
    "SpatialLogSoftMax": lambda f, x: np.log(softmax(f, x)),
}
