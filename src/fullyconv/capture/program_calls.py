"""The operations of an exported program as calls, with the shapes of what they make; nothing is computed here."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from fullyconv.capture.calls import Call, Ref, map_arg
from fullyconv.errors import CaptureError, FollowError
from fullyconv.graph import Value

# Operations that read nothing of their second tensor but its shape, and what they are with the numbers in its place.
_SHAPED = {
    "aten.expand_as.default": "aten.expand.default",
    "aten.reshape_as.default": "aten.reshape.default",
    "aten.view_as.default": "aten.view.default",
}


@dataclass(frozen=True, slots=True)
class ProgramCalls:
    """What a program does.

    Attributes:
        image: its input.
        stored: its parameters, buffers and constants, by name; the module's own memory.
        calls: by the node's name, in running order.
        nodes: likewise, the nodes that the calls came from.
        values: what the calls make, by name; constants as well as what depends on the image.
        outputs: the names of the model's outputs.
        given: for each leaf of what the model returns, whether it is an output; the others are None.
    """

    image: Value
    stored: Mapping[str, torch.Tensor]
    calls: Mapping[str, Call]
    nodes: Mapping[str, fx.Node]
    values: Mapping[str, Value]
    outputs: tuple[str, ...]
    given: tuple[bool, ...]


def read_calls(program: ExportedProgram) -> ProgramCalls:
    """Returns the calls of a program.

    Raises:
        CaptureError: it takes or gives something other than one image and tensors.
        FollowError: numbers or shapes depend on the values of the image.
    """
    _check_static(program.graph)
    reader = _Reader(program)
    for node in program.graph.nodes:
        if node.op == "call_function":
            reader.read(node)
    # Functional programs also return what was written into the image or into buffers; that is not the model's.
    returned = zip(program.graph.output_node().args[0], program.graph_signature.output_specs, strict=True)
    results = [arg for arg, spec in returned if spec.kind is OutputKind.USER_OUTPUT]
    outputs = tuple(reader.names[arg] for arg in results if isinstance(arg, fx.Node))
    other = [arg for arg in results if arg is not None and not isinstance(arg, fx.Node)]
    if other or not outputs:
        got = f"{other[0]!r} among them" if other else "none"
        raise CaptureError(f"the model's outputs: expected tensors, or None beside them, got {got}")
    given = tuple(arg is not None for arg in results)
    return ProgramCalls(reader.image, reader.stored, reader.calls, reader.nodes, reader.values, outputs, given)


def is_tuple(node: fx.Node) -> bool:
    """Returns whether a node gives several tensors."""
    return isinstance(node.meta.get("val"), list | tuple)


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


class _Reader:
    """Reads the nodes of a program one after the other."""

    def __init__(self, program: ExportedProgram) -> None:
        self.names: dict[fx.Node, Any] = {}  # a tensor's name, or a tuple of them
        self.stored: dict[str, torch.Tensor] = {}
        self.calls: dict[str, Call] = {}
        self.nodes: dict[str, fx.Node] = {}
        self.values: dict[str, Value] = {}
        placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
        tensors = {**program.constants, **program.state_dict}
        images = []
        for node, spec in zip(placeholders, program.graph_signature.input_specs, strict=True):
            self.names[node] = node.name if spec.kind is InputKind.USER_INPUT else spec.target
            if spec.kind is InputKind.USER_INPUT:
                images.append(make_value(node.name, node.meta["val"]))
            else:
                self.stored[str(spec.target)] = tensors[str(spec.target)].detach()
        if len(images) != 1:
            raise CaptureError(f"the model's inputs: expected one image, got {len(images)} inputs")
        self.image = images[0]

    def read(self, node: fx.Node) -> None:
        if node.target is operator.getitem:
            self.names[node] = self.names[node.args[0]][node.args[1]]  # type: ignore[index]
            return
        outputs = _make_outputs(node)
        if not outputs:  # assertions about the input's metadata
            return
        self.names[node] = tuple(value.name for value in outputs) if is_tuple(node) else outputs[0].name
        self.values.update({value.name: value for value in outputs})
        self.calls[node.name] = self._make_call(node, outputs)
        self.nodes[node.name] = node

    def _make_call(self, node: fx.Node, outputs: tuple[Value, ...]) -> Call:
        def leaf(arg: Any) -> Any:
            return Ref(self.names[arg]) if isinstance(arg, fx.Node) else arg

        target, shaped = str(node.target), _SHAPED.get(str(node.target))
        if shaped is not None:
            source, other = node.all_input_nodes[0], node.all_input_nodes[-1]
            return Call(shaped, (leaf(source), [int(size) for size in other.meta["val"].shape]), {}, (node.name,))
        args = map_arg(tuple(_plain(arg) for arg in node.args), leaf)
        kwargs = {name: map_arg(_plain(arg), leaf) for name, arg in node.kwargs.items()}
        return Call(target, args, kwargs, tuple(value.name for value in outputs))


def _make_outputs(node: fx.Node) -> tuple[Value, ...]:
    value = node.meta.get("val")
    if isinstance(value, torch.Tensor):
        return (make_value(node.name, value),)
    if isinstance(value, list | tuple):
        return tuple(make_value(f"{node.name}.{i}", inner) for i, inner in enumerate(value)
                     if isinstance(inner, torch.Tensor))  # fmt: skip
    return ()


def make_value(name: str, tensor: torch.Tensor) -> Value:
    """Returns name, shape and type of a tensor."""
    return Value(name, tuple(int(size) for size in tensor.shape), str(tensor.dtype).removeprefix("torch."))


def _plain(arg: Any) -> Any:
    if isinstance(arg, list | tuple):
        return type(arg)(_plain(inner) for inner in arg) if not hasattr(arg, "_fields") else tuple(arg)
    return arg
