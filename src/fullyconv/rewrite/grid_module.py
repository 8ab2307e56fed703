"""What every dense network does that knows its logits: scores on the grid, padding where it is asked."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

import torch
from torch import nn

from fullyconv.analyze.plan import Output
from fullyconv.capture.structure import fill_structure
from fullyconv.card import Border
from fullyconv.errors import OptionError
from fullyconv.graph import Pair
from fullyconv.grid import Grid
from fullyconv.rewrite.borders import run_bands, run_windows
from fullyconv.rewrite.program import GridProgram
from fullyconv.rewrite.windowed import WINDOW_MEMORY_BYTES


class GridModule(nn.Module, ABC):
    """A dense network: `(N, C, H, W)` of any size from the window on -> `(N, K, Gy, Gx)`.

    Attributes:
        program: what it runs.
        memory_bytes: what the windows of one batch may take, where a part runs on windows.
        activates_apart: whether a last softmax or sigmoid is computed here, of the logits.
    """

    program: GridProgram
    memory_bytes: int
    activates_apart: bool

    def __init__(self, program: GridProgram) -> None:
        """Takes a program."""
        super().__init__()
        self.program = program
        self.memory_bytes = WINDOW_MEMORY_BYTES
        self.activates_apart = False

    def forward(self, images: torch.Tensor) -> Any:
        """Returns the scores of all windows.

        Args:
            images: `(N, C, H, W)`, of the weights' dtype.

        Raises:
            ImageError: the image is smaller than the window.
        """
        program = self.program
        if program.border != "first-order" and not self.activates_apart:
            return fill_structure(program.structure, self._run_bordered(images, program.outputs))
        logits = self._run_bordered(images, program.logits)
        scores = [_activate(values, output) for values, output in zip(logits, program.outputs, strict=True)]
        return fill_structure(program.structure, scores)

    def list_outputs(self, images: torch.Tensor, outputs: Sequence[Output]) -> list[torch.Tensor]:
        """Returns some outputs or logits of the program, with padding at the image's border."""
        return self._run(images, outputs)

    def logits(self, images: torch.Tensor) -> Any:
        """Returns the scores before the model's last softmax or sigmoid; the scores where there is none."""
        return fill_structure(self.program.structure, self._run_bordered(images, self.program.logits))

    @property
    def ends_in_activation(self) -> bool:
        """Whether logits and scores differ."""
        return self.program.logits != self.program.outputs

    def with_border(self, border: Border) -> Self:
        """Returns the network with its padding elsewhere, on the same weights; itself where it is there.

        Raises:
            OptionError: first-order sums of something that is no floating-point numbers.
        """
        if self.program.border == border:
            return self
        if border == "first-order" and not all(output.is_floating for output in self.program.outputs):
            raise OptionError(
                "border: expected image or window, because the model gives whole numbers or truth values, such as "
                "the number of a class, which first-order cannot add up"
            )
        other = copy.copy(self)
        other.program = replace(self.program, border=border)
        return other

    def with_window_memory(self, memory_bytes: int) -> Self:
        """Returns the network with other batches of windows, on the same weights."""
        other = copy.copy(self)
        other.memory_bytes = memory_bytes
        return other

    @property
    def grid(self) -> Grid:
        """Where scores lie; a feature window is not known here."""
        return Grid(self.program.window, self.program.stride, self.program.window)

    @abstractmethod
    def refine(self, stride: Pair) -> Self:
        """Returns the network on a finer grid, on the same weights; itself at its own stride.

        Args:
            stride: pixels between neighbouring scores, `(sy, sx)`.

        Raises:
            OptionError: the network's own strides do not allow it; the message lists what they allow.
        """

    def _run_bordered(self, images: torch.Tensor, outputs: Sequence[Output]) -> list[torch.Tensor]:
        run = partial(self._run, outputs=outputs)
        if self.program.border == "first-order":
            return run_bands(run, images, self.grid)
        return run_windows(run, images, self.grid) if self.program.border == "window" else run(images)

    @abstractmethod
    def _run(self, images: torch.Tensor, outputs: Sequence[Output]) -> list[torch.Tensor]:
        """Returns outputs `(N, d1, ..., Gy, Gx)`, with padding at the image's border."""


def shape_scores(scores: torch.Tensor, output: Output) -> torch.Tensor:
    """Returns `(N, C, Gy, Gx)` as `(N, d1, ..., Gy, Gx)`, in the order of the model's output."""
    if output.order != tuple(range(len(output.order))):
        places = [1 + place for place in output.order]
        scores = torch.unflatten(scores, 1, output.channels)
        scores = scores.permute(0, *places, scores.dim() - 2, scores.dim() - 1).flatten(1, len(places))
    return scores if len(output.shape) == 1 else torch.unflatten(scores, 1, output.shape)


def _activate(logits: torch.Tensor, output: Output) -> torch.Tensor:
    if output.activation == "softmax":
        return logits.softmax(output.activation_axis)
    return logits.sigmoid() if output.activation == "sigmoid" else logits
