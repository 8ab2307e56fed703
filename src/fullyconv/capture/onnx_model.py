"""An ONNX file -> a model in one form: current operators, names for all nodes, one image as its input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fullyconv.capture.export import silence
from fullyconv.capture.onnx_single_axes import divide_slices
from fullyconv.errors import ModelError, OptionError, require_extra
from fullyconv.graph import Pair

if TYPE_CHECKING:
    import onnx_ir as ir

Layout = Literal["nchw", "nhwc"]

# The first in which every reduction names its axes by an input, and none of the older forms of Pad, Split, Resize
# and Softmax is left.
OPSET = 18

# Weights that are larger than this are put aside while the operators are brought up to date; smaller ones may be
# sizes and scales that this needs to know.
_LARGE_BYTES = 4096

# A protocol buffer holds less than 2 GiB; the weights of larger models stay in files.
LARGEST_IN_MEMORY = 1_500_000_000

_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An ONNX classifier in one form.

    Attributes:
        model: takes `image`, and nothing else.
        image: the name of its input.
        channels: of the image, None where the file does not say.
        window: the `(height, width)` that the file says, None where it does not.
        batch: the batch size that the file says, None where it does not.
        dtype: of the image, as numpy calls it.
        path: of the file.
        bound: the values of inputs beside the image.
        was_updated: whether its operators were older than `OPSET`.
        was_channels_last: whether its images are `(N, height, width, C)`.
    """

    model: ir.Model
    image: str
    channels: int | None
    window: Pair | None
    batch: int | None
    dtype: str
    path: Path
    bound: Mapping[str, Any]
    was_updated: bool
    was_channels_last: bool


def is_onnx(model: object) -> bool:
    """Returns whether a model is the path of an ONNX file, by its name."""
    return isinstance(model, str | Path) and Path(model).suffix.lower() == ".onnx"


def load_onnx(path: Path, bind: Mapping[str, Any] | None = None, layout: Layout | None = None) -> OnnxModel:
    """Returns the classifier of an ONNX file, its images as `(N, C, height, width)`.

    Args:
        path: the file; weights may lie beside it as external data.
        bind: values for inputs that are none of the image's.
        layout: of the file's images; where None, what the last axis says.

    Raises:
        MissingExtraError: onnx, onnx-ir or onnxruntime is not installed.
        ModelError: the file is absent, damaged or no ONNX; it has operators that nobody knows, or no image.
        OptionError: a value is bound to an input that there is not.
    """
    for module in ("onnx", "onnx_ir", "onnxruntime"):
        require_extra(module, "onnx")
    model = read_model(path)
    _simplify(model, path)
    _check_operators(model, path)
    bound = _bind(model, dict(bind or {}), path)
    _check_outputs(model, path)
    image = _find_image(model, path)
    is_last = layout == "nhwc" or (layout is None and _is_channels_last(image))
    if is_last:
        image = _put_channels_first(model, image)
    updated = _update(model, path)
    divide_slices(updated)
    _name_nodes(updated)
    name = str(image.name)
    assert image.shape is not None and image.dtype is not None  # as _find_image chose it
    batch, channels, height, width = (size if isinstance(size, int) and size > 0 else None for size in image.shape)
    window = (height, width) if height and width else None
    return OnnxModel(
        updated, name, channels, window, batch, str(image.dtype.numpy()),
        path, bound, updated is not model, is_last,
    )  # fmt: skip


def read_model(path: Path) -> ir.Model:
    """Returns the model of a file as it is, its weights in memory unless they are very large.

    Raises:
        ModelError: the file is absent, damaged or no ONNX.
    """
    import onnx_ir as ir

    if not path.is_file():
        raise ModelError(f"{path}: expected an ONNX file, found none")
    try:
        with silence():  # it tells of what is missing, which the checks below and onnxruntime do too
            model = ir.load(path)
        _check_outside(model, path)
        if measure_weights(model) < LARGEST_IN_MEMORY:
            ir.external_data.load_to_model(model)
        complete = bool(model.graph.opset_imports) and bool(len(model.graph)) and bool(model.graph.outputs)
    except ModelError:
        raise
    except Exception as error:  # damaged files fail in any way
        raise ModelError(f"{path}: not a whole ONNX file ({type(error).__name__})") from None
    if not complete:
        raise ModelError(f"{path}: not a whole ONNX file: it holds no network")
    return model


def _check_outside(model: ir.Model, path: Path) -> None:
    """Returns if all weights that lie outside of the file lie whole, and in its folder."""
    import onnx_ir as ir

    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if not isinstance(tensor, ir.ExternalTensor):
            continue
        place = Path(tensor.location)
        if place.is_absolute() or ".." in place.parts:
            raise ModelError(f"{path}: weight {name}: expected external data in the file's own folder, got {place}")
        file = path.parent / place
        if not file.is_file():
            raise ModelError(f"{path}: its weights lie in {place}, which is not beside it; put both in one folder")
        needed, held = (tensor.offset or 0) + tensor.nbytes, file.stat().st_size
        if held < needed:
            raise ModelError(f"{path}: {place} holds {held} bytes, weight {name} needs {needed}; it is not whole")


def measure_weights(model: ir.Model) -> int:
    """Returns the bytes of all weights."""
    return sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)


def _simplify(model: ir.Model, path: Path) -> None:
    """Puts functions in line, constants among the weights, and weights out of the inputs."""
    import onnx_ir.passes.common as passes

    try:
        for one in (
            passes.InlinePass(),
            passes.RemoveInitializersFromInputsPass(),
            passes.LiftSubgraphInitializersToMainGraphPass(),
            passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            passes.NameFixPass(),
            passes.TopologicalSortPass(),
        ):
            one(model)
    except Exception as error:  # a graph that contradicts itself
        raise ModelError(f"{path}: its graph cannot be read: {type(error).__name__}: {error}") from None


def _check_operators(model: ir.Model, path: Path) -> None:
    import onnx

    unknown = dict.fromkeys(
        f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        for node in model.graph.all_nodes()
        if node.domain not in _DOMAINS or (node.domain in ("", "ai.onnx") and not onnx.defs.has(node.op_type))
    )
    if unknown:
        raise ModelError(
            f"{path}: unknown operators {', '.join(list(unknown)[:4])}; expected those of ONNX, which alone can be run"
        )


def _bind(model: ir.Model, bind: dict[str, Any], path: Path) -> dict[str, Any]:
    """Makes weights of inputs, and returns them as arrays."""
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


def _make_bound(value: ir.Value, given: Any, path: Path) -> NDArray[Any]:
    """Returns what is bound to an input in its number type; one number fills the whole of it."""
    import onnx_ir as ir

    try:
        if not isinstance(value.type, ir.TensorType) or value.type.dtype == ir.DataType.STRING:
            raise TypeError
        array: NDArray[Any] = np.asarray(given).astype(value.type.dtype.numpy())
    except (TypeError, ValueError):
        raise OptionError(f"{path}: input {value.name} is a {value.type}, to which {given!r} cannot be bound") from None
    sizes = list(value.shape) if value.shape is not None else [None]
    if array.size == 1 and all(isinstance(size, int) for size in sizes):
        return np.full([int(str(size)) for size in sizes], array.reshape(()))
    fits = value.shape is None or (
        len(sizes) == array.ndim
        and all(not isinstance(size, int) or size == own for size, own in zip(sizes, array.shape, strict=True))
    )
    if not fits:
        raise OptionError(f"{path}: input {value.name}: expected the shape {value.shape}, got {array.shape} to bind")
    return array


def _check_outputs(model: ir.Model, path: Path) -> None:
    """Returns if all outputs are tensors of numbers, as far as the file says."""
    import onnx_ir as ir

    for value in model.graph.outputs:
        kind = value.type
        if kind is not None and (not isinstance(kind, ir.TensorType) or kind.dtype == ir.DataType.STRING):
            raise ModelError(
                f"{path}: output {value.name}: expected a tensor of numbers, got {kind}; export without it"
            )


def _find_image(model: ir.Model, path: Path) -> ir.Value:
    import onnx_ir as ir

    inputs = list(model.graph.inputs)
    images = [value for value in inputs if value.shape is not None and len(value.shape) == 4]
    images = [value for value in images if isinstance(value.type, ir.TensorType)
              and value.type.dtype.name in ("FLOAT", "FLOAT16", "DOUBLE")]  # fmt: skip
    if len(images) != 1:
        found = ", ".join(f"{value.name} {value.shape}" for value in inputs) or "none"
        raise ModelError(f"{path}: expected one image among its inputs, (N, C, height, width) of floats; got {found}")
    others = [str(value.name) for value in inputs if value is not images[0]]
    if others:
        raise ModelError(
            f"{path}: takes {', '.join(others)} beside the image; give each a value with --bind name=value"
        )
    return images[0]


def _is_channels_last(image: ir.Value) -> bool:
    """Returns whether the last axis looks like colours and the second does not."""
    assert image.shape is not None  # only values of four axes are images
    first, last = image.shape[1], image.shape[3]
    return isinstance(last, int) and last <= 4 and not (isinstance(first, int) and first <= 4)


def _put_channels_first(model: ir.Model, image: ir.Value) -> ir.Value:
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


def _update(model: ir.Model, path: Path) -> ir.Model:
    """Returns the model with operators of at least `OPSET`; large weights are put aside while that is done."""
    import onnx_ir as ir

    _forget_shapes(model)
    graph = model.graph
    if graph.opset_imports.get("", OPSET) >= OPSET:
        return model
    aside = {name: value for name, value in graph.initializers.items()
             if value.const_value is not None and value.const_value.nbytes > _LARGE_BYTES}  # fmt: skip
    for name, value in aside.items():
        del graph.initializers[name]
        graph.inputs.append(value)
    for name, value in graph.initializers.items():
        if isinstance(value.const_value, ir.ExternalTensor):  # the converter does not look into files
            value.const_value = ir.tensor(value.const_value.numpy().copy(), name=name)
    updated = _convert_version(model, path)
    for value in list(updated.graph.inputs):
        if value.name in aside:
            updated.graph.inputs.remove(value)
            value.const_value = aside[value.name].const_value
            updated.graph.register_initializer(value)
    _simplify(updated, path)
    _forget_shapes(updated)
    return updated


def _convert_version(model: ir.Model, path: Path) -> ir.Model:
    """Returns a small model with current operators; the oldest are understood for known batch sizes only."""
    import onnx
    import onnx_ir as ir

    problem = ""
    for batch in (None, 1):
        proto = ir.to_proto(model)
        proto.ir_version = max(proto.ir_version, 8)
        if batch is not None:
            proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
        try:
            return ir.from_proto(onnx.version_converter.convert_version(proto, OPSET))
        except Exception as error:  # of the converter, which is written in another language
            problem = " ".join(str(error).split())
    opset = model.graph.opset_imports[""]
    raise ModelError(f"{path}: its operators cannot be brought from opset {opset} to {OPSET}: {problem}")


def _forget_shapes(model: ir.Model) -> None:
    """Drops the stated shapes of what is computed: they are those of one batch size and one image size."""
    for node in model.graph:
        for value in node.outputs:
            value.shape = None


def _name_nodes(model: ir.Model) -> None:
    """Gives a name to each node that has none of its own."""
    taken = {node.name for node in model.graph}
    seen: set[str | None] = {None, ""}
    for place, node in enumerate(model.graph):
        if node.name in seen:
            node.name = next(name for name in _suggest(node.op_type, place) if name not in taken)
            taken.add(node.name)
        seen.add(node.name)


def _suggest(op_type: str, place: int) -> Iterator[str]:
    yield f"{op_type}_{place}"
    for more in count(1):
        yield f"{op_type}_{place}_{more}"
