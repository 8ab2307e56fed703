"""A dense network from PyTorch on another device, in another memory layout, arithmetic, or compiled."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from fullyconv.analyze.plan import Output
from fullyconv.capture.calls import Call
from fullyconv.errors import ModelError
from fullyconv.graph import Pair
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.rewrite.program import Program
from fullyconv.runtime.specification import Runtime
from fullyconv.runtime.torch_arithmetic import computing

# What autocast computes in half precision; weights that only these read are kept so, or each run would convert them.
_CAST = frozenset({"aten.conv2d.default", "aten.linear.default"})


COMPILER = "inductor"
"""Which of torch's compilers; tests take one that needs no minutes."""


class TunedModule(GridModule):
    """A dense network run as a runtime says: `(N, C, H, W)` from anywhere -> `(N, K, Gy, Gx)` there.

    In half precision the last softmax or sigmoid is computed in the images' number type, because rounding to 8 bits
    would show in every score.

    Attributes:
        runtime: how it runs.
        network: what runs, with weights of its own.
    """

    runtime: Runtime
    network: DenseModule

    def __init__(self, network: DenseModule, runtime: Runtime) -> None:
        """Takes a network, which is not changed.

        Raises:
            ModelError: it is to be compiled on a grid finer than its own, where sizes differ from part to part.
        """
        _check_form(network.program, runtime)
        super().__init__(network.program)
        self.memory_bytes = network.memory_bytes
        self.runtime = runtime
        self.activates_apart = not runtime.is_exact
        self.network = _prepare(network, runtime)
        if runtime.form == "compiled":
            _compile_shared(self.network)
        self.eval()

    def with_window_memory(self, memory_bytes: int) -> Self:
        """Returns the network with other batches of windows, on the same weights."""
        other = super().with_window_memory(memory_bytes)
        other._modules = {"network": self.network.with_window_memory(memory_bytes)}
        return other

    def refine(self, stride: Pair) -> Self:  # noqa: D102 - see GridModule
        network = self.network.refine(stride)
        _check_form(network.program, self.runtime)
        other = copy.copy(self)
        other.program = replace(self.program, stride=stride)
        other._modules = {"network": network}
        return other

    def _run(self, images: Tensor, outputs: Sequence[Output]) -> list[Tensor]:
        given = images.to(self.runtime.device)
        if self.runtime.form == "channels-last":
            given = given.contiguous(memory_format=torch.channels_last)
        with computing(self.runtime), _silence(self.runtime):
            maps = self.network.list_outputs(given, outputs)
        return [_bring_back(values, images) for values in maps]


def _check_form(program: Program, runtime: Runtime) -> None:
    if runtime.form == "compiled" and program.stride != program.own_stride:
        raise ModelError("torch-compiled: expected a network on its own grid, got a finer one; choose another runtime")


def _compile_shared(network: DenseModule) -> None:
    """Makes torch compile the shared part when it first runs on an image of each size.

    The windowed head stays as it is: each batch of another size would be compiled anew.
    """
    with warnings.catch_warnings(action="ignore"):  # about torch's own internals, which it now imports
        network._run_shared = torch.compile(  # type: ignore[method-assign]
            network._run_shared, dynamic=False, backend=COMPILER
        )


def _silence(runtime: Runtime) -> AbstractContextManager[object]:
    """Returns what keeps torch from warning about its own internals while it compiles."""
    return warnings.catch_warnings(action="ignore") if runtime.form == "compiled" else nullcontext()


def _bring_back(values: Tensor, images: Tensor) -> Tensor:
    return values.to(images.device, images.dtype if values.is_floating_point() else values.dtype)


def _prepare(network: DenseModule, runtime: Runtime) -> DenseModule:
    """Returns a copy of the network with its weights where and as the runtime wants them."""
    halves = frozenset(_find_half_weights(network.program)) if not runtime.is_exact else frozenset()
    weights = {}
    for name in network.weight_names:
        weight = network.get_weight(name).detach()
        dtype = getattr(torch, runtime.arithmetic) if name in halves else weight.dtype
        weight = weight.to(runtime.device, dtype)
        if runtime.form == "channels-last" and weight.dim() == 4:
            weight = weight.contiguous(memory_format=torch.channels_last)
        weights[name] = weight
    parameters = frozenset(name for name, _ in network.named_parameters())
    prepared = DenseModule(network.program, weights, parameters)
    prepared.memory_bytes = network.memory_bytes
    prepared.fragment_bytes = network.fragment_bytes
    return prepared


def _find_half_weights(program: Program) -> Iterator[str]:
    """Yields the weights that are read by convolutions and products alone, as kernel or bias."""
    calls = [call for call in program.instructions if isinstance(call, Call)]
    calls += program.head.calls if program.head else ()
    cast = {name for call in calls if call.target in _CAST for name in _list_weights(call)}
    others = {name for call in calls for name in call.references() if call.target not in _CAST}
    yield from cast - others - {program.image}


def _list_weights(call: Call) -> Iterator[str]:
    for read in call.args[1:3]:
        yield from (name for name in (getattr(read, "name", None),) if name is not None)
