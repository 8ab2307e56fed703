"""Classifiers with more than 2 GB of weights, which no protocol buffer holds: what each command takes, by hand.

    python benchmarks/large_file.py FOLDER [--gigabytes 2.4] [--layers 2] [--source onnx|torch]

Writes the classifier into the folder, converts it, compares scores with those of crops by onnxruntime alone, verifies
it, and prints seconds and peak memory of each step, which is a process of its own. With one layer, a single weight has
more than 2 GB.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WINDOW = (224, 224)
STRIDE = 16
CHANNELS = 512
CELLS = (WINDOW[0] // STRIDE) * (WINDOW[1] // STRIDE)
CLASSES = 10


@dataclass(frozen=True, slots=True)
class Size:
    """How many large layers stand side by side, and how many units each has."""

    layers: int
    units: int


# Windows that are compared with crops, by rows and columns of the grid.
_PLACES = ((0, 0), (1, 2), (2, 1))


def main() -> None:
    options = _parse()
    options.folder.mkdir(parents=True, exist_ok=True)
    size = Size(options.layers, round(options.gigabytes * 1e9 / 4 / (CHANNELS * CELLS) / options.layers))
    steps = {"onnx": (write_onnx, convert_onnx, score, verify), "torch": (save_from_torch, score_from_torch)}
    for step in steps[options.source]:
        _run_apart(step, options.folder, size)


def write_onnx(folder: Path, size: Size) -> None:
    """Writes the classifier with its large weight beside it, which is never whole in memory."""
    from onnx import TensorProto, helper, numpy_helper

    random, features = np.random.default_rng(0), CHANNELS * CELLS
    row = random.standard_normal(features).astype(np.float32) / np.float32(features**0.5)
    names = [f"large{layer}" for layer in range(size.layers)]
    for layer, name in enumerate(names):
        with (folder / f"{name}.bin").open("wb") as file:
            for unit in range(size.units):
                file.write(np.roll(row, 7919 * (layer * size.units + unit)).tobytes())
    large = [
        TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[size.units, features], data_location="EXTERNAL")
        for name in names
    ]
    for tensor in large:
        tensor.external_data.add(key="location", value=f"{tensor.name}.bin")
    stem = random.standard_normal((CHANNELS, 3, STRIDE, STRIDE)).astype(np.float32) / 28
    last = random.standard_normal((size.layers * size.units, CLASSES)).astype(np.float32) / 80
    weights = [numpy_helper.from_array(array, name) for name, array in (("stem", stem), ("last", last))]
    nodes = [
        helper.make_node("Conv", ["image", "stem"], ["map"], strides=[STRIDE, STRIDE]),
        helper.make_node("Relu", ["map"], ["awake"]),
        helper.make_node("Flatten", ["awake"], ["flat"]),
        *[helper.make_node("Gemm", ["flat", name], [f"of {name}"], transB=1) for name in names],
        helper.make_node("Concat", [f"of {name}" for name in names], ["hidden"], axis=1),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("MatMul", ["active", "last"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, *WINDOW])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CLASSES])
    graph = helper.make_graph(nodes, "large", [image], [scores], [*weights, *large])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (folder / "large.onnx").write_bytes(model.SerializeToString())


def convert_onnx(folder: Path, size: Size) -> None:
    """Converts the file and saves the dense one."""
    import fullyconv

    fullyconv.convert(folder / "large.onnx").save(folder / "dense" / "dense.onnx")


def score(folder: Path, size: Size) -> None:
    """Compares the dense file's scores with those of crops, both run by onnxruntime alone."""
    image = _draw_image()
    (found,) = _open(folder / "dense" / "dense.onnx").run(None, {"image": image})
    session = _open(folder / "large.onnx")
    _compare(found, [session.run(None, {"image": crop})[0][0] for crop in _cut_crops(image)])


def verify(folder: Path, size: Size) -> None:
    """Verifies the dense file."""
    import fullyconv

    print(fullyconv.verify(fullyconv.load(folder / "dense" / "dense.onnx"), folder / "large.onnx"))


def save_from_torch(folder: Path, size: Size) -> None:
    """Converts the same network as a PyTorch module, and writes the dense network as ONNX."""
    import fullyconv

    fullyconv.convert(_make_module(size), WINDOW).save(folder / "torch" / "dense.onnx")


def score_from_torch(folder: Path, size: Size) -> None:
    """Compares the file's scores with those of the module for crops."""
    import torch

    image = _draw_image()
    session = _open(folder / "torch" / "dense.onnx")
    (found, *_) = session.run(None, {session.get_inputs()[0].name: image})
    module = _make_module(size)
    with torch.no_grad():
        _compare(found, [module(torch.from_numpy(crop))[0].numpy() for crop in _cut_crops(image)])


def _make_module(size: Size) -> Any:
    import torch
    from torch import nn

    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, CHANNELS, STRIDE, STRIDE)
            self.large = nn.ModuleList(nn.Linear(CHANNELS * CELLS, size.units) for _ in range(size.layers))
            self.last = nn.Linear(size.layers * size.units, CLASSES)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            flat = self.stem(images).relu().flatten(1)
            return self.last(torch.cat([layer(flat) for layer in self.large], 1).relu())

    torch.manual_seed(0)
    return Large().eval()


def _open(path: Path) -> Any:
    import onnxruntime

    # By itself it puts the weights of convolutions in another order, which fails for one of more than 2 GiB.
    return onnxruntime.InferenceSession(path, disabled_optimizers=["NchwcTransformer"])


def _draw_image() -> np.ndarray:
    size = (WINDOW[0] + 2 * STRIDE, WINDOW[1] + 3 * STRIDE)
    return np.random.default_rng(1).standard_normal((1, 3, *size)).astype(np.float32)


def _cut_crops(image: np.ndarray) -> list[np.ndarray]:
    starts = [(row * STRIDE, column * STRIDE) for row, column in _PLACES]
    return [image[:, :, y : y + WINDOW[0], x : x + WINDOW[1]] for y, x in starts]


def _compare(found: np.ndarray, expected: list[np.ndarray]) -> None:
    errors = [
        np.abs(found[0, :, row, column] - scores).max() / np.abs(scores).max()
        for (row, column), scores in zip(_PLACES, expected, strict=True)
    ]
    print(f"relative error of {len(errors)} windows: at most {max(errors):.1e}")


def _run_apart(step: Callable[[Path, Size], None], folder: Path, size: Size) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_measure, args=(step, folder, size))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{step.__name__} ended with code {process.exitcode}")


def _measure(step: Callable[[Path, Size], None], folder: Path, size: Size) -> None:
    start = time.perf_counter()
    step(folder, size)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{step.__name__}: {time.perf_counter() - start:.0f} s, peak {peak / 1e9:.1f} GB", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=2.4, help="of the weights")
    parser.add_argument("--layers", type=int, default=2, help="that they are in")
    parser.add_argument("--source", choices=("onnx", "torch"), default="onnx")
    return parser.parse_args()


if __name__ == "__main__":
    main()
