"""What an ONNX file takes: one image, in either layout, and values that its exporter made inputs of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fullyconv.errors import ModelError, OptionError

if TYPE_CHECKING:
    import onnx_ir as ir

Array = NDArray[Any]

_HOW = "give each a value with --bind name=value, or name=a,b,c for several numbers"


def bind_inputs(model: ir.Model, bind: dict[str, Any], path: Path) -> dict[str, Array]:
    """Makes weights of inputs, and returns them as arrays.

    Raises:
        OptionError: there is no such input, or the value does not suit it.
    """
    import onnx_ir as ir

    bound = {}
    for value in list(model.graph.inputs):
        if value.name in bind:
            array = _make_bound(value, bind.pop(value.name), path)
            value.const_value = ir.tensor(array, name=value.name)
            bound[str(value.name)] = array
            model.graph.inputs.remove(value)
            model.graph.register_initializer(value)
    if bind:
        names = ", ".join(str(value.name) for value in model.graph.inputs)
        raise OptionError(f"{path}: has no input {next(iter(bind))!r} to bind; its inputs are {names}")
    return bound


def _make_bound(value: ir.Value, given: Any, path: Path) -> Array:
    """Returns what is bound to an input in its number type and shape.

    1. One number fills the whole of it.
    2. A list lies along its only axis of more than one, where all its sizes are known.
    3. Anything else has its shape already.
    """
    import onnx_ir as ir

    try:
        if not isinstance(value.type, ir.TensorType) or value.type.dtype == ir.DataType.STRING:
            raise TypeError
        array: Array = np.asarray(given).astype(value.type.dtype.numpy())
        if array.dtype.kind in "biu" and not np.array_equal(array, np.asarray(given)):
            raise ValueError
    except (TypeError, ValueError):
        raise OptionError(f"{path}: input {value.name} is a {value.type}, to which {given!r} cannot be bound") from None
    sizes = list(value.shape) if value.shape is not None else [None]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) == len(sizes):
        if array.size == 1:
            return np.full(known, array.reshape(()))
        if array.ndim == 1 and [size for size in known if size != 1] == [array.size]:
            return array.reshape(known)
    fits = value.shape is None or (
        len(sizes) == array.ndim
        and all(not isinstance(size, int) or size == own for size, own in zip(sizes, array.shape, strict=True))
    )
    if not fits:
        raise OptionError(f"{path}: input {value.name}: expected the shape {value.shape}, got {array.shape} to bind")
    return array


def drop_unread(model: ir.Model) -> dict[str, Array]:
    """Takes away inputs of numbers that no node reads, and returns zeros in their place.

    Exporters leave constants behind as inputs after folding them into others.
    """
    import onnx_ir as ir

    unread = [value for value in model.graph.inputs if not value.uses() and not value.is_graph_output()]
    dropped = {}
    for value in unread if len(unread) < len(model.graph.inputs) else ():
        if isinstance(value.type, ir.TensorType) and value.type.dtype != ir.DataType.STRING:
            sizes = [size if isinstance(size, int) else 1 for size in value.shape or ()]
            dropped[str(value.name)] = np.zeros(sizes, value.type.dtype.numpy())
            model.graph.inputs.remove(value)
    return dropped


def find_image(model: ir.Model, path: Path) -> ir.Value:
    """Returns the input that is the image.

    Raises:
        ModelError: there is none, or several could be it, or there are others beside it.
    """
    inputs = list(model.graph.inputs)
    images = [value for value in inputs if _can_be_image(value)]
    if len(images) > 1:  # one with rows and columns, beside those that hold a number for each channel, is it
        images = [value for value in images if _has_area(value)] or images
    if len(images) != 1:
        hint = f"; if all but one are constants, {_HOW}" if len(images) > 1 else ""
        found = _list(inputs) or "none"
        raise ModelError(
            f"{path}: expected one image among its inputs, (N, C, height, width) of floats; got {found}{hint}"
        )
    others = [value for value in inputs if value is not images[0]]
    if others:
        raise ModelError(f"{path}: takes {_list(others)} beside the image; {_HOW}")
    return images[0]


def _list(values: list[ir.Value]) -> str:
    return ", ".join(f"{value.name} {'of any shape' if value.shape is None else value.shape}" for value in values)


def _can_be_image(value: ir.Value) -> bool:
    import onnx_ir as ir

    is_float = isinstance(value.type, ir.TensorType) and value.type.dtype.name in ("FLOAT", "FLOAT16", "DOUBLE")
    return is_float and value.shape is not None and len(value.shape) == 4


def _has_area(value: ir.Value) -> bool:
    """Returns whether two axes at least, the batch aside, are open or longer than 1."""
    assert value.shape is not None  # only values of four axes are images
    return sum(size != 1 for size in list(value.shape)[1:]) >= 2


def is_channels_last(image: ir.Value) -> bool:
    """Returns whether the last axis looks like colours and the second does not."""
    assert image.shape is not None  # only values of four axes are images
    first, last = image.shape[1], image.shape[3]
    return isinstance(last, int) and last <= 4 and not (isinstance(first, int) and first <= 4)


def put_channels_first(model: ir.Model, image: ir.Value) -> ir.Value:
    """Puts a transposition before the network, so that it takes `(N, C, height, width)`."""
    import onnx_ir as ir

    assert image.shape is not None  # only values of four axes are images
    n, h, w, c = image.shape
    outer = ir.Value(name=f"{image.name}:nchw", shape=ir.Shape([n, c, h, w]), type=image.type)
    node = ir.node("Transpose", [outer], {"perm": [0, 2, 3, 1]}, name=f"{image.name}:to_nhwc")
    inner = node.outputs[0]
    inner.name, inner.type = f"{image.name}:nhwc", image.type
    image.replace_all_uses_with(inner)
    model.graph.insert_before(model.graph[0], node)
    model.graph.inputs[model.graph.inputs.index(image)] = outer
    return outer
