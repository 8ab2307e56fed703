"""A dense network that a runtime for ONNX runs, as a torch.nn.Module, so that it is used like any other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from fullyconv.analyze.plan import Output
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.errors import OptionError
from fullyconv.graph import Pair
from fullyconv.grid import format_size
from fullyconv.rewrite.grid_module import GridModule, shape_scores
from fullyconv.rewrite.program import OnnxHead, OnnxProgram
from fullyconv.rewrite.windowed import Batching, lay_on_grid, run_windows
from fullyconv.runtime.runner import OpenSession


class OnnxModule(GridModule):
    """A dense ONNX network: `(N, C, H, W)` of any size from the window on -> `(N, K, Gy, Gx)`, on the CPU.

    Attributes:
        program: how its model's outputs become scores.
        model: the shared part, what `DenseModel.save` writes; the image in, scores and maps out.
        head_model: the windowed part, None in tier 1.
        memory_bytes: what the windows of one batch may take.
        make_finer: writes it anew for another stride; None where only its file is known.
    """

    program: OnnxProgram
    make_finer: Callable[[Pair], OnnxModule] | None

    def __init__(
        self,
        program: OnnxProgram,
        model: ir.Model,
        head_model: ir.Model | None = None,
        open_session: OpenSession = OnnxSession,
    ) -> None:
        """Takes models, which are not copied, and what runs them.

        Raises:
            CaptureError: the library cannot load them.
        """
        super().__init__(program)
        self.model = model
        self.head_model = head_model
        self.make_finer = None
        self._open_session = open_session
        maps = list(program.names.values())
        self._session = open_session(model, extra_outputs=maps)
        self._head = open_session(head_model) if head_model is not None else None
        # Tells the number type and the device to those who prepare images.
        self.register_buffer("number_type", torch.zeros(1, dtype=getattr(torch, program.dtype)))
        self.eval()

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxModule:
        """Returns the same network, whose models and sessions nobody changes, with a buffer of its own."""
        other = copy.copy(self)
        other._buffers = {name: value.clone() for name, value in self._buffers.items() if value is not None}
        return other

    def with_sessions(self, open_session: OpenSession) -> OnnxModule:
        """Returns the same network, run by another library.

        Raises:
            CaptureError: the library cannot load its models.
        """
        other = OnnxModule(self.program, self.model, self.head_model, open_session)
        other.memory_bytes, other.make_finer = self.memory_bytes, self.make_finer
        return other

    @property
    def weight_count(self) -> int:
        """The number of values of its floating weights."""
        models = [model for model in (self.model, self.head_model) if model is not None]
        tensors = [value.const_value for model in models for value in model.graph.initializers.values()]
        return sum(tensor.size for tensor in tensors if tensor is not None and tensor.dtype.is_floating_point())

    def refine(self, stride: Pair) -> OnnxModule:
        """Returns the network on a finer grid; itself at its own stride.

        Raises:
            ModelError: it has no ONNX form there.
            OptionError: the network's own strides do not allow it, or its file holds no more than one stride.
        """
        if stride == self.program.stride:
            return self
        if self.make_finer is None:
            raise OptionError(
                f"stride: expected {format_size(self.program.stride)}, which this file was written for, got "
                f"{format_size(stride)}; convert the classifier again, or save it as .pt2, which refines after loading"
            )
        finer = self.make_finer(stride)
        finer.make_finer, finer.memory_bytes = self.make_finer, self.memory_bytes
        return finer.with_sessions(self._open_session).with_border(self.program.border)

    def _run(self, images: Tensor, outputs: Sequence[Output]) -> list[Tensor]:
        program = self.program
        grid = self.grid.shape((int(images.shape[2]), int(images.shape[3])))
        array = images.detach().cpu().numpy().astype(program.dtype, copy=False)
        wanted = {self._name(output) for output in outputs if output.tensor}
        cuts = program.head.cuts if program.head else ()
        wanted |= {program.names[cut.tensor] for cut in cuts}
        values = {name: torch.from_numpy(value)
                  for name, value in self._session.run({program.image: array}, sorted(wanted)).items()}  # fmt: skip
        windows = self._run_head(program.head, values, grid, outputs) if program.head else {}
        return [self._shape(values[self._name(output)], output, grid) if output.tensor else windows[output.value]
                for output in outputs]  # fmt: skip

    def _is_finished(self, output: Output) -> bool:
        """Returns whether the model itself gives an output on the grid; of logits, it gives the map."""
        return output in self.program.outputs

    def _name(self, output: Output) -> str:
        return output.value if self._is_finished(output) else self.program.names[output.tensor]

    def _shape(self, values: Tensor, output: Output, grid: Pair) -> Tensor:
        return values if self._is_finished(output) else shape_scores(values, output)[..., : grid[0], : grid[1]]

    def _run_head(
        self, head: OnnxHead, values: dict[str, Tensor], grid: Pair, outputs: Sequence[Output]
    ) -> dict[str, Tensor]:
        wanted = [output for output in outputs if not output.tensor]
        if not wanted:
            return {}
        session = self._head
        assert session is not None  # made with the program that has a head

        def compute(windows: list[Tensor], count: int) -> list[Tensor]:
            given = {cut.value: window.numpy() for cut, window in zip(head.cuts, windows, strict=True)}
            made = session.run({name: given[name] for name in session.inputs}, [output.value for output in wanted])
            return [torch.from_numpy(np.ascontiguousarray(made[output.value])) for output in wanted]

        maps = [values[self.program.names[cut.tensor]] for cut in head.cuts]
        parts = run_windows(compute, head.cuts, maps, grid, self._choose_batching(head))
        images = len(maps[0])
        return {
            output.value: lay_on_grid(part, output, images, grid) for output, part in zip(wanted, parts, strict=True)
        }

    def _choose_batching(self, head: OnnxHead) -> Batching:
        if not head.is_free:
            return Batching(head.batch, head.batch)
        return Batching(max(head.batch, self.memory_bytes // max(head.window_bytes, 1)), head.batch)
