"""Which runtime a network runs on: the one that was asked for, or the fastest on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

import torch

from fullyconv.capture.export import first_line
from fullyconv.capture.module import read_device
from fullyconv.errors import CaptureError, FullyconvError, ModelError, OptionError
from fullyconv.rewrite.contest import Contest
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.rewrite.placing import Placement
from fullyconv.rewrite.probe_images import choose_small_size, draw_image
from fullyconv.runtime.choice import EXACT_ERROR, FAST_ERROR, Choice, Trial
from fullyconv.runtime.device import check_device
from fullyconv.runtime.measuring import measure_error
from fullyconv.runtime.specification import Precision, Runtime, check_precision, parse_runtime
from fullyconv.runtime.work import Work


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user asks of a runtime.

    Attributes:
        runtime: "auto" or a name.
        precision: "exact" for the network's own number type, "fast" where bfloat16 or float16 will do.
        device: "cpu", "cuda" or "cuda:N"; None for where the network is.
        max_error: of logits, relative to the largest; None for what suits the precision.
        work: what is to be done.
    """

    runtime: str = "auto"
    precision: Precision = "exact"
    device: str | None = None
    max_error: float | None = None
    work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        check_precision(self.precision)
        if self.max_error is not None and not (isfinite(self.max_error) and self.max_error > 0):
            raise OptionError(f"max_error: expected a number above 0, got {self.max_error}")

    @property
    def allowed(self) -> float:
        """The largest error."""
        return self.max_error or (EXACT_ERROR if self.precision == "exact" else FAST_ERROR)


def choose(dense: DenseModel, wish: Wish) -> tuple[GridModule | None, Choice]:
    """Returns what runs the network, None where that is the network as it is, and why.

    Raises:
        CaptureError: the runtime that was asked for cannot load or run the network.
        MissingExtraError: its library is not installed.
        ModelError: the network has no form for it, or it is further from the network's scores than allowed.
        OptionError: there is no such runtime or device.
    """
    device = check_device(wish.device or str(read_device(dense.module)))
    if wish.runtime == "auto":
        return Contest(dense, wish.precision, device, wish.allowed, wish.work).decide()
    return _take(dense, parse_runtime(wish.runtime, wish.precision, device), wish.allowed)


def _take(dense: DenseModel, runtime: Runtime, allowed: float) -> tuple[GridModule | None, Choice]:
    """Returns the runtime that was asked for, once it has shown that it gives the network's scores."""
    placement = Placement(dense)
    image = draw_image(dense, choose_small_size(dense.grid))
    try:
        runner = placement.place(runtime)
        if runner is None:
            return None, Choice(runtime, "as asked for", max_error=allowed)
        with torch.inference_mode():
            found = runner.logits(image)
    except FullyconvError:
        raise
    except Exception as error:  # torch and its compilers fail in many ways
        raise CaptureError(f"runtime {runtime}: it cannot run the network: {first_line(error)}") from error
    off = measure_error(found, placement.run_own(image))
    if not off <= allowed:
        raise ModelError(
            f"runtime {runtime}: its logits are {off:.0e} from those of {placement.own}, relative to the largest; "
            f"allowed are {allowed:.0e}; allow more, or choose another runtime"
        )
    return runner, Choice(runtime, "as asked for", (Trial(runtime, error=off),), max_error=allowed)
