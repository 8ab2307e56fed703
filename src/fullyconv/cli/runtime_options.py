"""Options that say what runs a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopts import Parameter

from fullyconv.runtime.specification import Precision

if TYPE_CHECKING:
    from fullyconv.rewrite.dense_model import DenseModel
    from fullyconv.runtime.work import Work


@Parameter(name="*")
@dataclass(frozen=True)
class RuntimeOptions:
    """What runs the network.

    Attributes:
        runtime: auto for the fastest on this machine, which is measured once and remembered; or torch,
            torch-channels-last, torch-compiled, onnxruntime, openvino. By default the library that the file is for.
        precision: exact computes in the network's own numbers, as a rule float32; fast may take bfloat16 or float16.
        device: cpu, cuda or cuda:N; by default the CPU.
        max_error: how far its scores before the last activation may be off, relative to the largest; by default 1e-4,
            with fast 2e-2.
    """

    runtime: str | None = None
    precision: Precision = "exact"
    device: str | None = None
    max_error: float | None = None

    def place(self, dense: DenseModel, measure_work: Callable[[], Work] | None = None) -> DenseModel:
        """Returns the network on what was asked for, itself if nothing was.

        Args:
            dense: the network.
            measure_work: says what is to be done, where that matters.

        Raises:
            FullyconvError: see `DenseModel.on`.
        """
        if self == RuntimeOptions():
            return dense
        runtime = self.runtime or self._choose_library(dense)
        work = measure_work() if measure_work is not None and runtime == "auto" else None
        return dense.on(runtime, precision=self.precision, device=self.device, max_error=self.max_error, work=work)

    def _choose_library(self, dense: DenseModel) -> str:
        """Returns what is meant where no runtime is named: coarser numbers are for speed, another device is not."""
        from fullyconv.rewrite.placing import Placement

        return "auto" if self.precision == "fast" else Placement(dense).own.library
