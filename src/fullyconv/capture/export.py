"""A torch module or program, exported at window size: plain ATen nodes with every shape, nothing baked in place."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import fx, nn
from torch.export import ExportedProgram

from fullyconv.allocator import releases_memory
from fullyconv.capture.module import evaluating, read_device, read_dtype, suggest_channels
from fullyconv.capture.regions import inline_regions
from fullyconv.capture.structure import register_dataclasses
from fullyconv.errors import CaptureError, FollowError
from fullyconv.graph import Pair

# Two, so that an axis of the batch is told from axes of size 1 (DESIGN, section 4).
BATCH = 2


@releases_memory
def export_batch(module: nn.Module, image: torch.Tensor) -> ExportedProgram:
    """Returns the program of `module` for images like `image`, which it is known to run on.

    The module is not changed. Operations that write into tensors which others still read are made functional.

    Raises:
        FollowError: the module cannot be exported; carries torch's message.
    """
    with evaluating(module), torch.no_grad(), silence():
        try:
            source = _follow_script(module, image) if isinstance(module, torch.jit.ScriptModule) else module
            program = torch.export.export(source, (image,), strict=False)
        except Exception as error:
            raise FollowError(
                f"torch.export cannot follow the model at {tuple(image.shape)}: {first_line(error)}"
            ) from error
        inline_regions(program)
        return program.run_decompositions({}) if writes_shared_memory(program.graph) else program


def _follow_script(module: torch.jit.ScriptModule, image: torch.Tensor) -> nn.Module:
    """Returns what TorchScript's code does to images like `image`, as a module that torch.export can follow.

    By the converter that torch.export's own error names for this; that it is the same network is checked as for any.
    It makes buffers of parameters, which become parameters again.
    """
    from torch._export.converter import TS2EPConverter  # takes a while, and is needed for nothing else

    followed = TS2EPConverter(module, (image,)).convert().module(check_guards=False)
    buffers = dict(followed.named_buffers())
    for name in [name for name, _ in module.named_parameters() if name in buffers]:
        owner, _, last = name.rpartition(".")
        delattr(followed.get_submodule(owner), last)
        setattr(followed.get_submodule(owner), last, nn.Parameter(buffers[name], requires_grad=False))
    return followed


@contextmanager
def silence() -> Iterator[None]:
    """Keeps back what torch prints, logs and warns of its own internals and of user code; errors say what matters."""
    level = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(level)


@releases_memory
def find_input(module: nn.Module, window: Pair, channels: int | None) -> torch.Tensor:
    """Returns random images `(2, C, height, width)` that the module runs on, or `(1, C, ...)` if it takes only one.

    Raises:
        CaptureError: there are no channels with which it runs; carries the model's own message.
    """
    candidates = [channels] if channels else suggest_channels(module, window)
    problems = []
    for count in candidates:
        for batch in (BATCH, 1):
            generator = torch.Generator().manual_seed(0)
            image = torch.rand(batch, count, *window, generator=generator).to(
                dtype=read_dtype(module), device=read_device(module)
            )
            try:
                with evaluating(module), torch.no_grad():
                    register_dataclasses(module(image))
            except Exception as error:
                problems.append((count, first_line(error)))
                continue
            return image
    count, message = problems[0]
    raise CaptureError(
        f"the model does not run on a window of {window[1]}x{window[0]} pixels (width x height) with {count} "
        f"channels: {message}; pass the window that it was trained on"
    )


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or its type where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def writes_shared_memory(graph: fx.Graph) -> bool:
    """Returns whether an operation writes into memory that a later node still reads under another name.

    Where not, `relu_` is just `relu` and its argument's name can be rebound to the result.
    """
    order = {node: position for position, node in enumerate(graph.nodes)}
    memory: dict[fx.Node, fx.Node] = {}
    members: dict[fx.Node, list[fx.Node]] = {}
    for node in graph.nodes:
        owner = next((memory[arg] for arg in _find_aliased(node)), node)
        memory[node] = owner
        members.setdefault(owner, []).append(node)
    for node in graph.nodes:
        if node.op == "call_function" and _is_writing(node.target):
            others = [other for other in members[memory[node]] if other is not node and order[other] < order[node]]
            if any(order[user] > order[node] for other in others for user in other.users):
                return True
            if memory[node].op == "placeholder":
                return True
    return False


def _is_writing(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable


def _find_aliased(node: fx.Node) -> Iterator[fx.Node]:
    if node.op != "call_function":
        return
    if not isinstance(node.target, torch._ops.OpOverload):
        yield from (arg for arg in node.args if isinstance(arg, fx.Node))  # getitem of a tuple
        return
    schema = node.target._schema.arguments
    for argument, value in zip(schema, node.args, strict=False):
        # reshape and its kin may or may not return a view, so they count as one
        shares = argument.alias_info is not None or node.target.overloadpacket.__name__ in (
            "reshape",
            "flatten",
            "contiguous",
            "to",
            "dropout",
            "unflatten",
        )
        if shares and isinstance(value, fx.Node):
            yield value
