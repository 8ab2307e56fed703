"""A torch module or program -> Graph, with the ATen call of each node beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.export import ExportedProgram

from fullyconv.capture.aten_arrangements import ARRANGEMENTS
from fullyconv.capture.aten_convolutions import CONVOLUTIONS
from fullyconv.capture.aten_operations import NORMALISERS, POINTWISE, POINTWISE_NAMES, Use
from fullyconv.capture.aten_products import PRODUCTS
from fullyconv.capture.aten_resizing import RESIZINGS
from fullyconv.capture.aten_statistics import STATISTICS
from fullyconv.capture.calls import Call, PerBatch, Ref, find_references, run_call
from fullyconv.capture.constants import Constants, select_constant
from fullyconv.capture.export import export_batch, find_input
from fullyconv.capture.liveness import find_last_uses, find_needed
from fullyconv.capture.macs import count_macs
from fullyconv.capture.module import check_weights, read_device, read_dtype
from fullyconv.capture.program_calls import ProgramCalls, is_tuple, make_value, read_calls
from fullyconv.capture.structure import make_structure
from fullyconv.errors import CaptureError
from fullyconv.graph import Constant, Graph, Node, Opaque, Operation, Pair, Pointwise, Shape, Value
from fullyconv.patches import TransposedConv

_NORMALISERS = {**NORMALISERS, **CONVOLUTIONS, **ARRANGEMENTS, **STATISTICS, **PRODUCTS, **RESIZINGS}


@dataclass(frozen=True, slots=True)
class CapturedModel:
    """A model as a Graph, and what torch needs to run parts of it.

    Attributes:
        graph: normalised operations and shapes, for the analysis.
        calls: the ATen call of each node, by the node's name, in running order.
        tensors: parameters, buffers and constants, by the names that `graph.constants` has.
        parameters: which of the tensors are parameters.
        structure: the model's output, each tensor's place among the graph's outputs in its stead.
        rebatchable: whether the calls' literals are known for any batch size.
    """

    graph: Graph
    calls: Mapping[str, Call]
    tensors: Constants
    parameters: frozenset[str]
    structure: Any
    rebatchable: bool = False


def capture(module: nn.Module, window: Pair, channels: int | None = None) -> CapturedModel:
    """Returns the Graph of `module` at window size, with its ATen calls; the module is not changed.

    Args:
        module: takes `(N, C, height, width)`.
        window: `(height, width)` in pixels.
        channels: C; inferred where it is None.

    Raises:
        ModelError: a weight is NaN or infinite.
        CaptureError: the module cannot run at the window, or gives something other than scores.
        FollowError: it runs, but what it does cannot be followed.
    """
    return capture_on(module, find_input(module, window, channels))


def capture_on(module: nn.Module, image: torch.Tensor) -> CapturedModel:
    """Returns the same from an image that `find_input` gave.

    Raises:
        ModelError: a weight is NaN or infinite.
        CaptureError: the module gives something other than scores.
        FollowError: what it does cannot be followed.
    """
    check_weights(module)
    return _read_program(export_batch(module, image))


def free_batch(captured: CapturedModel, module: nn.Module) -> CapturedModel:
    """Returns the capture with every literal that came from the batch size marked as such.

    The module is captured at one more batch size: a literal that differs came from the batch. Where the module
    runs at one batch size only, the capture comes back as it was.
    """
    batch = captured.graph.batch
    image = torch.rand(batch + 1, *captured.graph.image.shape[1:]).to(
        dtype=read_dtype(module), device=read_device(module)
    )
    try:
        other = read_calls(export_batch(module, image)).calls
        calls = {name: _free_call(call, other[name], batch) for name, call in captured.calls.items()}
    except (CaptureError, KeyError, ValueError):
        return captured
    return replace(captured, calls=calls, rebatchable=True)


def evaluate(captured: CapturedModel, image: torch.Tensor, names: tuple[str, ...]) -> tuple[torch.Tensor, ...]:
    """Returns values of the graph by name, computed by the original calls.

    Args:
        captured: any capture.
        image: `(batch, C, height, width)` of the captured batch and window; sets the dtype.
        names: values of the graph.
    """
    constants = captured.tensors
    exact: dict[str, torch.Tensor] = {}
    tensors = {captured.graph.image.name: image}
    calls = find_needed(tuple(captured.calls.values()), names)
    with torch.no_grad():
        for call, last in zip(calls, find_last_uses(calls, names), strict=True):
            if constants.types.keys() >= set(call.outputs):
                exact.update(constants.run(call, exact))
            else:
                known = {name: tensors[name] if name in tensors else _cast(constants.round(name, exact), image)
                         for name in call.references()}  # fmt: skip
                tensors.update(zip(call.outputs, run_call(call, known, len(image)), strict=False))
            for name in last:
                tensors.pop(name, None)  # an operation may give fewer tensors than it has names for
                exact.pop(name, None)
    return tuple(tensors[name] for name in names)


def _cast(tensor: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    return tensor.to(image) if tensor.is_floating_point() else tensor


def _free_call(call: Call, other: Call, batch: int) -> Call:
    if call.target != other.target:
        raise ValueError(call.target)
    kwargs = {name: _free_arg(arg, other.kwargs[name], batch) for name, arg in call.kwargs.items()}
    return replace(call, args=_free_arg(call.args, other.args, batch), kwargs=kwargs)


def _free_arg(arg: Any, other: Any, batch: int) -> Any:
    if isinstance(arg, list | tuple):
        return type(arg)(_free_arg(a, b, batch) for a, b in zip(arg, other, strict=True))
    if type(arg) is int and arg != other:
        return PerBatch(arg - batch * (other - arg), other - arg)
    if arg != other:
        raise ValueError(arg)
    return arg


def _read_program(program: ExportedProgram) -> CapturedModel:
    read = read_calls(program)
    constant = select_constant(read.calls, read.stored)
    types = {name: getattr(torch, read.values[name].dtype) for call in constant.values() for name in call.outputs}
    tensors = Constants(read.stored, constant, types, read.image.shape[0], read.image.dtype != "float64")
    if fixed := [name for name in read.outputs if name in tensors]:
        raise CaptureError(f"the model's output {min(fixed)} does not depend on the image")
    graph = Graph(
        image=read.image,
        nodes=_Normaliser(read, tensors).make_nodes(),
        constants={name: _make_constant(name, read, tensors) for name in tensors},
        outputs=read.outputs,
    )
    out_spec = program.call_spec.out_spec
    assert out_spec is not None  # torch.export always records it
    parameters = frozenset(program.graph_signature.parameters)
    return CapturedModel(graph, read.calls, tensors, parameters, make_structure(out_spec, read.given))


def _make_constant(name: str, read: ProgramCalls, tensors: Constants) -> Constant:
    seen = read.values[name] if name in read.values else make_value(name, tensors.stored[name])
    return Constant(name, seen.shape, seen.dtype, lambda: make_array(tensors[name]))


def make_array(tensor: torch.Tensor) -> NDArray[np.generic]:
    """Returns the values of a tensor, those in floating point as float64."""
    plain = tensor.detach().cpu()
    array: NDArray[np.generic] = (plain.double() if plain.is_floating_point() else plain).numpy()
    return array


class _Normaliser:
    """Makes the graph's nodes of a program's calls."""

    def __init__(self, read: ProgramCalls, tensors: Constants) -> None:
        self.read = read
        self.tensors = tensors
        self.shapes: dict[str, Shape] = {name: tuple(tensor.shape) for name, tensor in read.stored.items()}
        self.shapes[read.image.name] = read.image.shape
        self.shapes.update((name, value.shape) for name, value in read.values.items())

    def make_nodes(self) -> tuple[Node, ...]:
        """Returns the nodes that depend on the image, in running order."""
        return tuple(
            self._make_node(self.read.nodes[name], call)
            for name, call in self.read.calls.items()
            if name not in self.tensors.calls
        )

    def _make_node(self, node: fx.Node, call: Call) -> Node:
        outputs = tuple(self.read.values[name] for name in call.outputs)
        name = call.target.split(".")[1]
        references = tuple(call.references())
        shapes = tuple(self.shapes[reference] for reference in references)
        layer = _find_layer(node, references, self.tensors)
        operation, inputs = self._normalise(node, call, outputs)
        counted = "conv_transpose2d" if isinstance(operation, TransposedConv) else name  # traced, it is a convolution
        macs = count_macs(counted, shapes, tuple(value.shape for value in outputs)) // self.read.image.shape[0]
        return Node(node.name, operation, inputs, outputs, f"aten.{name}", layer, macs)

    def _normalise(self, node: fx.Node, call: Call, outputs: tuple[Value, ...]) -> tuple[Operation, tuple[str, ...]]:
        # The trailing underscore marks the in-place form; its result is the only name that is read on.
        name = call.target.split(".")[1]
        name = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        arguments = _bind(node.target, call)
        references = tuple(call.references())
        if name in _NORMALISERS:
            shapes = tuple(value.shape for value in outputs)
            normal = _NORMALISERS[name](Use(arguments, self.shapes, shapes, _find_read(node), self.tensors))
            if normal is not None:
                return normal
        elif _is_pointwise(node.target, name) and len(outputs) == 1:
            scalars = tuple(float(arg) for arg in call.args if type(arg) in (int, float))
            plain = POINTWISE_NAMES.get(name, name)
            ordered = bool(call.args) and isinstance(call.args[0], Ref)  # not 1 - x, which is rsub
            return Pointwise(plain if ordered and not call.kwargs else f"{plain}*", scalars), references
        attributes = tuple((key, value) for key, value in arguments.items() if not any(find_references(value)))
        return Opaque(attributes), references


def _bind(target: Any, call: Call) -> dict[str, Any]:
    schema = target._schema.arguments
    bound = {argument.name: argument.default_value for argument in schema}
    bound.update(zip((argument.name for argument in schema), call.args, strict=False))
    return {**bound, **call.kwargs}


def _is_pointwise(target: Any, name: str) -> bool:
    return name in POINTWISE or torch.Tag.pointwise in target.tags


def _find_read(node: fx.Node) -> frozenset[int]:
    """Returns which of a node's outputs are read; 0 where it has only one."""
    if not is_tuple(node):
        return frozenset({0})
    return frozenset(int(user.args[1]) for user in node.users if user.users)  # type: ignore[arg-type]


def _find_layer(node: fx.Node, references: tuple[str, ...], tensors: Mapping[str, torch.Tensor]) -> str:
    """Returns the module path of a node; re-exported programs have lost it, but their weights' names say it."""
    stack = node.meta.get("nn_module_stack") or {}
    path = str(list(stack.values())[-1][0]) if stack else ""
    weights = [name for name in references if name in tensors and "." in name]
    return path or (weights[0].rpartition(".")[0] if weights else "")
