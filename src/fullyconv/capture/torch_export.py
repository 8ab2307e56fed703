"""A torch module or program -> Graph, with the ATen call of each node beside it."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from fullyconv.capture.aten_arrangements import ARRANGEMENTS
from fullyconv.capture.aten_operations import NORMALISERS, POINTWISE, POINTWISE_NAMES, Use
from fullyconv.capture.aten_products import PRODUCTS
from fullyconv.capture.aten_resizing import RESIZINGS
from fullyconv.capture.aten_statistics import STATISTICS
from fullyconv.capture.calls import Call, PerBatch, Ref, find_references, map_arg, run_call
from fullyconv.capture.export import export_at_window, export_batch
from fullyconv.capture.liveness import find_last_uses
from fullyconv.capture.macs import count_macs
from fullyconv.capture.module import check_weights
from fullyconv.errors import CaptureError, FollowError
from fullyconv.graph import Constant, Graph, Node, Opaque, Operation, Pair, Pointwise, Shape, Value

_NORMALISERS = {**NORMALISERS, **ARRANGEMENTS, **STATISTICS, **PRODUCTS, **RESIZINGS}


@dataclass(frozen=True, slots=True)
class CapturedModel:
    """A model as a Graph, and what torch needs to run parts of it.

    Attributes:
        graph: normalised operations and shapes, for the analysis.
        calls: the ATen call of each node, by the node's name, in running order.
        tensors: parameters, buffers and constants, by the names that `graph.constants` has.
        parameters: which of the tensors are parameters.
        output_spec: the structure of the model's output.
        rebatchable: whether the calls' literals are known for any batch size.
    """

    graph: Graph
    calls: Mapping[str, Call]
    tensors: Mapping[str, torch.Tensor]
    parameters: frozenset[str]
    output_spec: pytree.TreeSpec
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
    check_weights(module)
    return _read_program(export_at_window(module, window, channels))


def free_batch(captured: CapturedModel, module: nn.Module) -> CapturedModel:
    """Returns the capture with every literal that came from the batch size marked as such.

    The module is captured at one more batch size: a literal that differs came from the batch. Where the module
    runs at one batch size only, the capture comes back as it was.
    """
    batch = captured.graph.batch
    image = torch.rand(batch + 1, *captured.graph.image.shape[1:])
    try:
        image = image.to(next(iter(captured.tensors.values()))) if captured.tensors else image
        other = _read_program(export_batch(module, image))
        calls = {name: _free_call(call, other.calls[name], batch) for name, call in captured.calls.items()}
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
    tensors = {name: tensor.to(image) if tensor.is_floating_point() else tensor
               for name, tensor in captured.tensors.items()}  # fmt: skip
    tensors[captured.graph.image.name] = image
    calls = [call for call in captured.calls.values() if not set(call.outputs) <= tensors.keys()]
    with torch.no_grad():
        for call, last in zip(calls, find_last_uses(calls, names), strict=True):
            tensors.update(zip(call.outputs, run_call(call, tensors, len(image)), strict=False))
            for name in last:
                tensors.pop(name, None)  # an operation may give fewer tensors than it has names for
    return tuple(tensors[name] for name in names)


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
    _check_static(program.graph)
    reader = _Reader(program)
    for node in program.graph.nodes:
        if node.op == "call_function":
            reader.read(node)
    # Functional programs also return what was written into the image or into buffers; that is not the model's.
    returned = zip(program.graph.output_node().args[0], program.graph_signature.output_specs, strict=True)
    outputs = [arg for arg, spec in returned if spec.kind is OutputKind.USER_OUTPUT]
    graph = Graph(
        image=reader.image,
        nodes=tuple(reader.nodes),
        constants={name: _make_constant(name, tensor) for name, tensor in reader.tensors.items()},
        outputs=tuple(reader.names[arg] for arg in outputs if isinstance(arg, fx.Node)),
    )
    if not graph.outputs or len(graph.outputs) != len(outputs):
        raise CaptureError("the model's outputs: expected tensors only, got other values among them")
    constant = set(graph.outputs) & reader.tensors.keys()
    if constant:
        raise CaptureError(f"the model's output {sorted(constant)[0]} does not depend on the image")
    out_spec = program.call_spec.out_spec
    assert out_spec is not None  # torch.export always records it
    parameters = frozenset(program.graph_signature.parameters)
    return CapturedModel(graph, reader.calls, reader.tensors, parameters, out_spec)


def _check_static(graph: fx.Graph) -> None:
    """Returns if every node is a tensor operation of known shapes.

    Raises:
        FollowError: numbers or shapes depend on the values of the image.
    """
    for node in graph.nodes:
        values = pytree.tree_leaves(node.meta.get("val"))
        sizes = [size for value in values if isinstance(value, torch.Tensor) for size in value.shape]
        if any(_is_open(number) for number in (*values, *sizes)):
            raise FollowError(
                f"{node.name} ({node.target}): its size or number depends on the values of the image",
                reads_values=True,
            )


def _is_open(value: object) -> bool:
    """Returns whether it is a number that is not known; how much a constant mask chooses is a symbol that is."""
    is_symbol = isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool)
    return is_symbol and bool(value.node.expr.free_symbols)  # type: ignore[attr-defined]


def _make_constant(name: str, tensor: torch.Tensor) -> Constant:
    def read() -> NDArray[np.generic]:
        plain = tensor.detach().cpu()
        array: NDArray[np.generic] = (plain.double() if plain.is_floating_point() else plain).numpy()
        return array

    return Constant(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), read)


class _Reader:
    """Reads the nodes of a program one after the other."""

    def __init__(self, program: ExportedProgram) -> None:
        self.names: dict[fx.Node, Any] = {}  # a tensor's name, or a tuple of them
        self.tensors: dict[str, torch.Tensor] = {}
        self.exact: dict[str, torch.Tensor] = {}  # computed constants before they are rounded, while still read
        self.unread = {node: len(node.users) for node in program.graph.nodes}
        self.shapes: dict[str, Shape] = {}
        self.nodes: list[Node] = []
        self.calls: dict[str, Call] = {}
        placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
        stored = {**program.constants, **program.state_dict}
        images = []
        for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
            self.names[node] = node.name if spec.kind is InputKind.USER_INPUT else spec.target
            if spec.kind is InputKind.USER_INPUT:
                images.append(_make_value(node.name, node.meta["val"]))
            else:
                self.tensors[str(spec.target)] = stored[str(spec.target)].detach()
        if len(images) != 1:
            raise CaptureError(f"the model's inputs: expected one image, got {len(images)} inputs")
        self.image = images[0]
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        self.shapes[self.image.name] = self.image.shape

    def read(self, node: fx.Node) -> None:
        if node.target is operator.getitem:
            self.names[node] = self.names[node.args[0]][node.args[1]]  # type: ignore[index]
            return
        outputs = _make_outputs(node)
        if not outputs:  # assertions about the input's metadata
            return
        self.names[node] = tuple(value.name for value in outputs) if _is_tuple(node) else outputs[0].name
        self.shapes.update({value.name: value.shape for value in outputs})
        call = self._make_call(node, outputs)
        self.calls[node.name] = call
        if set(call.references()) <= self.tensors.keys():
            self._fold(call, outputs)
        else:
            self.nodes.append(self._make_node(node, call, outputs))
        self._forget(node)

    def _forget(self, node: fx.Node) -> None:
        """Drops the float64 values that nothing after `node` reads; the rounded ones stay."""
        for used in node.all_input_nodes:
            self.unread[used] -= 1
            if not self.unread[used]:
                self.exact.pop(str(self.names.get(used)), None)

    def _make_call(self, node: fx.Node, outputs: tuple[Value, ...]) -> Call:
        def leaf(arg: Any) -> Any:
            return Ref(self.names[arg]) if isinstance(arg, fx.Node) else arg

        args = map_arg(tuple(_plain(arg) for arg in node.args), leaf)
        kwargs = {name: map_arg(_plain(arg), leaf) for name, arg in node.kwargs.items()}
        return Call(str(node.target), args, kwargs, tuple(value.name for value in outputs))

    def _fold(self, call: Call, outputs: tuple[Value, ...]) -> None:
        """Computes a constant in float64 from first to last and rounds it once, so that it is as good as a weight.

        A standardised weight, say, is a difference of nearly equal numbers: rounded at each step, it would be
        further from its true value than verification allows a weight to be.
        """
        known = {name: self.exact.get(name, self.tensors[name]) for name in call.references()}
        for name, tensor, value in zip(call.outputs, self._run_exactly(call, known), outputs, strict=True):
            self.exact[name] = tensor.clone()
            self.tensors[name] = tensor.to(getattr(torch, value.dtype)).clone()

    def _run_exactly(self, call: Call, known: dict[str, torch.Tensor]) -> Sequence[torch.Tensor]:
        if self.image.dtype == "float64":  # where less is computed exactly, the model itself says so
            return run_call(call, {name: self.tensors[name] for name in known}, self.image.shape[0])
        exact = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in known.items()}
        with torch.no_grad():
            try:
                return run_call(call, exact, self.image.shape[0])
            except RuntimeError:  # an operation for one number type
                plain = {name: self.tensors[name] for name in known}
                return run_call(call, plain, self.image.shape[0])

    def _make_node(self, node: fx.Node, call: Call, outputs: tuple[Value, ...]) -> Node:
        name = call.target.split(".")[1]
        references = tuple(call.references())
        shapes = tuple(self.shapes[reference] for reference in references)
        macs = count_macs(name, shapes, tuple(value.shape for value in outputs)) // self.image.shape[0]
        layer = _find_layer(node, references, self.tensors)
        operation, inputs = self._normalise(node, call, outputs)
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
    if not _is_tuple(node):
        return frozenset({0})
    return frozenset(int(user.args[1]) for user in node.users if user.users)  # type: ignore[arg-type]


def _is_tuple(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), list | tuple)


def _make_outputs(node: fx.Node) -> tuple[Value, ...]:
    value = node.meta.get("val")
    if isinstance(value, torch.Tensor):
        return (_make_value(node.name, value),)
    if isinstance(value, list | tuple):
        return tuple(_make_value(f"{node.name}.{i}", inner) for i, inner in enumerate(value)
                     if isinstance(inner, torch.Tensor))  # fmt: skip
    return ()


def _make_value(name: str, tensor: torch.Tensor) -> Value:
    return Value(name, tuple(int(size) for size in tensor.shape), str(tensor.dtype).removeprefix("torch."))


def _plain(arg: Any) -> Any:
    if isinstance(arg, list | tuple):
        return type(arg)(_plain(inner) for inner in arg) if not hasattr(arg, "_fields") else tuple(arg)
    return arg


def _find_layer(node: fx.Node, references: tuple[str, ...], tensors: Mapping[str, torch.Tensor]) -> str:
    """Returns the module path of a node; re-exported programs have lost it, but their weights' names say it."""
    stack = node.meta.get("nn_module_stack") or {}
    path = str(list(stack.values())[-1][0]) if stack else ""
    weights = [name for name in references if name in tensors and "." in name]
    return path or (weights[0].rpartition(".")[0] if weights else "")
