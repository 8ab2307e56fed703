"""The fastest runtime for a network on this machine, among those that give its scores: measured once, remembered."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, isnan, log2, prod, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from fullyconv.capture.export import first_line
from fullyconv.errors import ModelError
from fullyconv.graph import Pair
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.fingerprint import make_fingerprint
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.rewrite.placing import Placement
from fullyconv.rewrite.probe_images import choose_small_size, draw_image
from fullyconv.runtime.choice import Choice, Trial
from fullyconv.runtime.measuring import measure_error, time_in_turns
from fullyconv.runtime.remembered import Circumstances, recall, remember
from fullyconv.runtime.specification import Precision, Runtime, list_candidates
from fullyconv.runtime.work import Work

# Timing takes about this long, beyond the first runs of each.
_BUDGET_S = 4.0

# What is to be done in less is done before runtimes are measured.
_LITTLE_S = 3.0

# From here on compilation, which takes up to minutes for each size of image, is worth trying.
_MUCH_S = 1200.0

# An image that takes longer is made smaller: each pixel costs about the same.
_SLOW_S = 1.0

# Another library must at least save so much of the time.
_WORTH = 0.95

# Sides of images in powers of two; larger images cost the same for each pixel.
_CLASSES = range(5, 11)
_USUAL_CLASS = 9


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """A network, and what is asked of what runs it.

    Attributes:
        dense: the network.
        precision: whether coarser arithmetic is allowed.
        device: where.
        max_error: of logits, relative to the largest.
        work: what is to be done.
    """

    dense: DenseModel
    precision: Precision
    device: str
    max_error: float
    work: Work

    def decide(self) -> tuple[GridModule | None, Choice]:
        """Returns what runs the network, None where that is the network as it is, and why.

        Raises:
            ModelError: nothing on the device gives its scores.
        """
        placement = Placement(self.dense)
        if isinstance(placement.module, CropModule):
            return None, Choice(placement.own, "because it runs the classifier's own code on crops")
        return self._recall(placement, placement.module) or self._measure(placement, placement.module)

    def _recall(self, placement: Placement, module: GridModule) -> tuple[GridModule | None, Choice] | None:
        """Returns what was measured earlier, None where nothing was, or it no longer runs."""
        fingerprint = make_fingerprint(module.with_border("image"))
        for compiles in (True, False):
            known = recall(self._describe(fingerprint, compiles=compiles))
            if known is None or self._compiles(known) != compiles:
                continue
            if known.runtime in list_candidates(self.precision, self.device, compiles=compiles):
                with suppress(Exception):  # a library may have been damaged since
                    return placement.place(known.runtime), known
        return None

    def _measure(self, placement: Placement, module: GridModule) -> tuple[GridModule | None, Choice]:
        plain = module.with_border("image")
        image, seconds = self._choose_image(plain)
        size = (int(image.shape[2]), int(image.shape[3]))
        total_s = self._estimate(seconds, size)
        if placement.own.device == self.device and self.work.total_px is not None and total_s < _LITTLE_S:
            reason = f"because all there is to do takes about {total_s:.2g} s there, less than measuring would"
            return None, Choice(placement.own, reason, max_error=self.max_error)
        compiles = total_s > _MUCH_S
        runners, trials = self._try_all(placement, plain, image, compiles=compiles)
        choice = self._pick(trials, size)
        remember(self._describe(make_fingerprint(plain), compiles=compiles), choice)
        return runners[choice.runtime], choice

    def _choose_image(self, plain: GridModule) -> tuple[Tensor, float]:
        """Returns an image of about the work's size, smaller where that takes long, and the network's time for it."""
        size, smallest = self._choose_size(), choose_small_size(self.dense.grid)
        while True:
            image = draw_image(self.dense, size)
            seconds = min(_time(partial(_run, plain, image)) for _ in range(2))
            smaller = (max(smallest[0], size[0] // 2), max(smallest[1], size[1] // 2))
            if seconds < _SLOW_S or smaller == size:
                return image, seconds
            size = smaller

    def _choose_size(self) -> Pair:
        side = 2 ** self._classify()
        height, width = choose_small_size(self.dense.grid)
        return max(height, side), max(width, side)

    def _classify(self) -> int:
        if self.work.image_px is None:
            return _USUAL_CLASS
        return min(max(ceil(log2(sqrt(prod(self.work.image_px)))), _CLASSES[0]), _CLASSES[-1])

    def _compiles(self, known: Choice) -> bool:
        """Returns whether there is enough to do that torch.compile may come to pay, by what took how long earlier."""
        seconds = next((trial.seconds for trial in known.trials if trial.seconds is not None), 0.0)
        return self._estimate(seconds, known.image_px or (1, 1)) > _MUCH_S

    def _estimate(self, seconds: float, size: Pair) -> float:
        """Returns about how long all the work takes, by what one plain run on an image of a size takes."""
        module, grid = self.dense.module, self.dense.grid
        y, x = (window / stride for window, stride in zip(grid.window_px, grid.stride_px, strict=True))
        border = module.program.border if isinstance(module, GridModule) else "image"
        runs = {"image": 1.0, "first-order": 1 + y + x, "window": y * x}[border]
        return runs * seconds * (self.work.total_px or 0) / prod(size)

    def _try_all(
        self, placement: Placement, plain: GridModule, image: Tensor, *, compiles: bool
    ) -> tuple[dict[Runtime, GridModule | None], tuple[Trial, ...]]:
        """Returns the runners that give the network's scores, and how each of all did."""
        expected = _run_logits(plain, image)
        runners: dict[Runtime, GridModule | None] = {}
        trials = []
        for runtime in list_candidates(self.precision, self.device, compiles=compiles):
            if runtime.library == "torch" and placement.own.library != "torch":
                continue
            runner, trial = self._try(placement, runtime, image, expected)
            trials.append(trial)
            if not trial.problem:
                runners[runtime] = runner
        runs: dict[Runtime, Callable[[], Any]] = {
            runtime: partial(_run, (runner or plain).with_border("image"), image) for runtime, runner in runners.items()
        }
        seconds = time_in_turns(runs, _BUDGET_S)
        return runners, tuple(replace(trial, seconds=seconds.get(trial.runtime)) for trial in trials)

    def _try(
        self, placement: Placement, runtime: Runtime, image: Tensor, expected: Any
    ) -> tuple[GridModule | None, Trial]:
        try:
            runner = placement.place(runtime)
            if runner is None:
                return None, Trial(runtime, error=0.0)
            plain = runner.with_border("image")
            error = measure_error(_run_logits(plain, image), expected)
            _run(plain, image)  # so that it is warm
        except Exception as problem:  # libraries and compilers fail in many ways, and there are others
            return None, Trial(runtime, problem=first_line(problem)[:160])
        if not error <= self.max_error:
            off = f"logits {error:.0e} off, allowed {self.max_error:.0e}" if not isnan(error) else "logits are NaN"
            return None, Trial(runtime, problem=off)
        return runner, Trial(runtime, error=error)

    def _pick(self, trials: tuple[Trial, ...], size: Pair) -> Choice:
        timed = {trial.runtime: trial.seconds for trial in trials if trial.seconds is not None}
        if not timed:
            raise ModelError(
                f"runtime auto: nothing on {self.device} gives this network's scores: "
                + ", ".join(f"{trial.runtime} ({trial.problem})" for trial in trials)
            )
        fastest, first = min(timed, key=lambda runtime: timed[runtime]), next(iter(timed))
        runtime = fastest if timed[fastest] < _WORTH * timed[first] else first
        return Choice(runtime, "", trials, size, self.max_error)

    def _describe(self, fingerprint: str, *, compiles: bool) -> Circumstances:
        return Circumstances(
            network=fingerprint,
            size_class=self._classify(),
            threads=torch.get_num_threads(),
            precision=self.precision,
            device=self.device,
            max_error=self.max_error,
            compiles=compiles,
        )


def _run(runner: GridModule, image: Tensor) -> Any:
    """Returns the scores on the CPU, so that a graphics card has done its work when this ends."""
    with torch.inference_mode():
        return pytree.tree_map(Tensor.cpu, runner(image))


def _run_logits(runner: GridModule, image: Tensor) -> Any:
    with torch.inference_mode():
        return runner.logits(image)


def _time(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
