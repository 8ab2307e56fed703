"""The dense network as a torch.nn.Module: runs a Program on images of any size."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import nn
from torch.nn import functional as F

from fullyconv.analyze.plan import Output
from fullyconv.capture.calls import run_call
from fullyconv.graph import Pair
from fullyconv.grid import Grid
from fullyconv.rewrite.fragment_outputs import FRAGMENT_MEMORY_BYTES, run_fragments
from fullyconv.rewrite.grid_module import GridModule, shape_scores
from fullyconv.rewrite.program import GridCall, Program
from fullyconv.rewrite.refined import Route, check_step, make_route
from fullyconv.rewrite.windowed import run_head

Tensors = dict[str, torch.Tensor]


class DenseModule(GridModule):
    """A dense network: `(N, C, H, W)` of any size from the window on -> `(N, K, Gy, Gx)`.

    Parameters and buffers keep the classifier's names; fully connected weights have the shape of kernels. A
    model with several outputs gives them in its own structure; an output with more axes, `(N, d1, ..., Gy, Gx)`.

    Attributes:
        program: what it runs.
        memory_bytes: what the windows of one batch may take, where a part runs on windows.
        route: how it runs on fragments; None at the network's own stride.
        fragment_bytes: what the maps of one group of fragments may take, on a grid finer than its own.
    """

    program: Program
    weight_names: tuple[str, ...]
    _layers: tuple[tuple[str, str, str], ...]
    _places: tuple[tuple[str, str, str], ...]
    _last_uses: tuple[tuple[str, ...], ...]
    route: Route | None
    fragment_bytes: int

    def __init__(self, program: Program, weights: Mapping[str, torch.Tensor], parameters: frozenset[str]) -> None:
        """Takes a program and its weights, which are not copied."""
        super().__init__(program)
        self.weight_names = tuple(weights)
        self._places = tuple(map(_split_path, weights))
        self._layers = _list_layers(self._places)
        for name, tensor in weights.items():
            _register(self, name, tensor, is_parameter=name in parameters)
        self._last_uses = _find_last_uses(program)
        self.route = None if program.stride == program.own_stride else make_route(program, program.stride)
        self.fragment_bytes = FRAGMENT_MEMORY_BYTES
        self.eval()

    def refine(self, stride: Pair) -> Self:  # noqa: D102 - see GridModule
        program = replace(self.program, stride=stride)
        check_step(program, stride)
        other = copy.copy(self)
        other.program = program
        other.route = None if stride == program.own_stride else make_route(program, stride)
        return other

    def with_fragment_memory(self, memory_bytes: int) -> Self:
        """Returns the network on other groups of fragments, on the same weights."""
        other = copy.copy(self)
        other.fragment_bytes = memory_bytes
        return other

    def _run(self, images: torch.Tensor, outputs: Sequence[Output]) -> list[torch.Tensor]:
        program = self.program
        grid = self.grid.shape((int(images.shape[2]), int(images.shape[3])))
        if self.route is not None:
            return run_fragments(self, self.route, images, outputs)
        tensors = self._run_shared(self.align(images), {output.tensor for output in outputs})
        windows = run_head(program.head, tensors, grid, outputs, self.memory_bytes) if program.head else {}
        maps = [shape_scores(tensors[output.tensor], output) if output.tensor else windows[output.value]
                for output in outputs]  # fmt: skip
        return [scores[..., : grid[0], : grid[1]] for scores in maps]

    def align(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the images padded with zeros to window + k*stride, where branches would disagree otherwise."""
        if not self.program.align:
            return images
        missing = [
            (window - size) % stride
            for size, window, stride in zip(images.shape[2:], self.program.window, self.program.own_stride, strict=True)
        ]
        return F.pad(images, (0, missing[1], 0, missing[0])) if any(missing) else images

    def _run_shared(self, images: torch.Tensor, ends: set[str]) -> Tensors:
        tensors = self.list_weights()
        tensors[self.program.image] = images
        size = (int(images.shape[2]), int(images.shape[3]))
        for place, instruction in enumerate(self.program.instructions):
            if isinstance(instruction, GridCall):
                tensors[instruction.output] = _bring_to_grid(tensors[instruction.source], instruction, size, self)
            else:
                results = run_call(instruction, tensors, len(images))
                tensors.update(zip(instruction.outputs, results, strict=False))
            for name in self._last_uses[place]:
                if name not in ends:
                    del tensors[name]
        return tensors

    def list_weights(self) -> Tensors:
        """Returns all parameters and buffers by their whole names."""
        weights: Tensors = {}
        layers: dict[str, Any] = {"": self}
        for path, parent, last in self._layers:
            layers[path] = layers[parent]._modules[last]  # getattr takes three times as long
        for name, owner, last in self._places:
            weights[name] = getattr(layers[owner], last)
        return weights

    def get_weight(self, name: str) -> torch.Tensor:
        """Returns a parameter or a buffer by its whole name."""
        owner, _, last = name.rpartition(".")
        tensor: torch.Tensor = getattr(self.get_submodule(owner), last)
        return tensor


# Names of this class's own, which no weight may take, nor the first layer on its path.
RESERVED = frozenset({*dir(nn.Module()), *dir(DenseModule), *GridModule.__annotations__, *DenseModule.__annotations__})


def _bring_to_grid(source: torch.Tensor, call: GridCall, size: Pair, module: DenseModule) -> torch.Tensor:
    rows, columns = Grid(module.program.window, call.stride_px, module.program.window).shape(size)
    return source[:, :, :: call.step[0], :: call.step[1]][:, :, :rows, :columns]


def _register(module: nn.Module, name: str, tensor: torch.Tensor, *, is_parameter: bool) -> None:
    *path, last = name.split(".")
    for part in path:
        if not hasattr(module, part):
            module.add_module(part, nn.Module())
        module = getattr(module, part)
    if is_parameter:
        module.register_parameter(last, nn.Parameter(tensor, requires_grad=tensor.is_floating_point()))
    else:
        module.register_buffer(last, tensor)


def _split_path(path: str) -> tuple[str, str, str]:
    """Returns a path with the layer that owns its end, and its last name."""
    owner, _, last = path.rpartition(".")
    return path, owner, last


def _list_layers(places: Iterable[tuple[str, str, str]]) -> tuple[tuple[str, str, str], ...]:
    """Returns each layer on the way to a weight once, with its path split, those that own others first."""
    paths: dict[str, None] = {}
    for _, owner, _ in places:
        names = owner.split(".") if owner else []
        paths.update(dict.fromkeys(".".join(names[: end + 1]) for end in range(len(names))))
    return tuple(map(_split_path, paths))


def _find_last_uses(program: Program) -> tuple[tuple[str, ...], ...]:
    """Returns for each instruction the tensors that nothing reads afterwards."""
    kept = {output.tensor for output in (*program.outputs, *program.logits)}
    kept |= {cut.tensor for cut in program.head.cuts} if program.head else set()
    made = {program.image, *(name for call in program.instructions for name in _list_outputs(call))}
    seen: set[str] = set()
    uses: list[tuple[str, ...]] = []
    for instruction in reversed(program.instructions):
        read = (instruction.source,) if isinstance(instruction, GridCall) else tuple(instruction.references())
        last = {name for name in (*read, *_list_outputs(instruction)) if name in made and name not in seen}
        seen |= last
        uses.append(tuple(last - kept))
    return tuple(reversed(uses))


def _list_outputs(instruction: Any) -> tuple[str, ...]:
    return (instruction.output,) if isinstance(instruction, GridCall) else instruction.outputs
