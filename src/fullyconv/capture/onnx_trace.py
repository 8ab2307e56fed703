"""One run of an ONNX model at window size, with everything that it computes on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fullyconv.capture.onnx_model import OnnxModel
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.errors import CaptureError
from fullyconv.graph import Shape

if TYPE_CHECKING:
    import onnx_ir as ir

Array = NDArray[Any]

# Two windows tell the axis of the batch from axes of size 1.
BATCH = 2

# What these give depends on the shape of what they read, and not on its values.
_OF_SHAPES = frozenset({"Shape", "Size"})

_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)

# The scores of a window in two batches differ by the order of sums, if at all; one that saw others, by far more.
_SAME_RTOL = 1e-3


@dataclass(frozen=True, slots=True)
class Trace:
    """What a model computed for a batch of windows.

    Attributes:
        batch: how many windows.
        shapes: of all values, weights included; a value that is no tensor has none.
        dtypes: likewise, as numpy calls them.
        constants: what was computed and does not depend on the image.
        depending: the names of what depends on the image's values.
    """

    batch: int
    shapes: Mapping[str, Shape]
    dtypes: Mapping[str, str]
    constants: Mapping[str, Array]
    depending: frozenset[str]


def trace(source: OnnxModel, size: tuple[int, int, int]) -> Trace:
    """Returns what the model computes for random windows of `(C, height, width)`, two of them if it can.

    The model's stated batch size becomes a variable one.

    Raises:
        CaptureError: it runs at no batch size, or its outputs do not begin with the batch.
    """
    import onnx_ir as ir

    image = next(value for value in source.model.graph.inputs if value.name == source.image)
    image.shape = ir.Shape(["batch", *size])
    depending = find_depending(source)
    names = [str(value.name) for node in source.model.graph for value in node.outputs if value.name]
    session = OnnxSession(source.model, extra_outputs=names, rewrites=False)
    outputs = [str(value.name) for value in source.model.graph.outputs]
    constant = [name for name in outputs if name not in depending]
    if constant:
        raise CaptureError(f"the model's output {constant[0]} does not depend on the image")
    problems = []
    for batch in dict.fromkeys((BATCH, 1, source.batch or 1)):
        try:
            values = _run_apart(session, {source.image: make_windows(source, (batch, *size))}, outputs)
        except CaptureError as error:
            problems.append(error)
        else:
            return _keep(source, values, depending, (batch, *size))
    raise CaptureError(
        f"the model does not run on windows of {size[2]}x{size[1]} pixels (width x height): {problems[-1]}"
    )


def _run_apart(session: OnnxSession, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
    """Returns everything that a batch of windows gives.

    Raises:
        CaptureError: it does not run, or the scores of a window depend on others in its batch, or on its place there.
    """
    values = session.run(given)
    ((image, windows),) = given.items()
    others = -windows
    others[0] = windows[0]
    if any(np.shape(values[name])[:1] != (len(windows),) for name in outputs):
        raise CaptureError(f"its outputs do not begin with the batch of {len(windows)}")
    if len(windows) > 1:
        beside, elsewhere = session.run({image: others}, outputs), session.run({image: np.roll(windows, 1, 0)}, outputs)
        for name in outputs:
            if not (
                _is_same(beside[name][0], values[name][0]) and _is_same(elsewhere[name], np.roll(values[name], 1, 0))
            ):
                raise CaptureError("the scores of a window depend on others in its batch")
    return values


def _is_same(found: Array, expected: Array) -> bool:
    with np.errstate(invalid="ignore"):  # infinite scores differ from everything
        difference = np.abs(found.astype(np.float64) - expected).max(initial=0)
    return bool(difference <= _SAME_RTOL * np.abs(expected).max(initial=1e-30))


def find_depending(source: OnnxModel) -> frozenset[str]:
    """Returns the names of what depends on the image's values, or on chance."""
    found = {source.image}
    for node in source.model.graph:
        if node.op_type in _RANDOM or (node.op_type not in _OF_SHAPES and found & set(list_reads(node))):
            found.update(str(value.name) for value in node.outputs)
    return frozenset(found)


def list_reads(node: ir.Node) -> list[str]:
    """Returns the names of what a node reads, the branches and loops within it included."""
    read = [str(value.name) for value in node.inputs if value is not None]
    for attribute in node.attributes.values():
        if attribute.type.name in ("GRAPH", "GRAPHS"):
            graphs = attribute.value if attribute.type.name == "GRAPHS" else [attribute.value]
            for graph in graphs:
                read += [name for inner in graph for name in list_reads(inner)]
                read += [str(value.name) for value in graph.outputs]
    return read


def make_windows(source: OnnxModel, shape: Shape) -> Array:
    """Returns random windows of the model's number type."""
    return np.random.default_rng(0).standard_normal(shape).astype(source.dtype)


def _keep(source: OnnxModel, values: Mapping[str, Any], depending: frozenset[str], image: Shape) -> Trace:
    shapes: dict[str, Shape] = {source.image: image}
    dtypes = {source.image: source.dtype}
    for name, weight in source.model.graph.initializers.items():
        assert weight.const_value is not None  # the file would not have loaded
        shapes[name] = tuple(weight.const_value.shape.numpy())
        dtypes[name] = str(weight.const_value.dtype.numpy())
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            shapes[name], dtypes[name] = tuple(value.shape), str(value.dtype)
    constants = {name: value for name, value in values.items()
                 if name not in depending and isinstance(value, np.ndarray)}  # fmt: skip
    return Trace(image[0], shapes, dtypes, constants, depending)
