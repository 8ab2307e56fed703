"""The dense network for torch: ATen calls in order, the windowed head, and how outputs are put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fullyconv.analyze.plan import Cut, Output
from fullyconv.capture.calls import Call
from fullyconv.card import Border
from fullyconv.graph import Pair


@dataclass(frozen=True, slots=True)
class GridCall:
    """Every `step`-th cell of `source`, as many as there are windows at `stride_px` on the image."""

    source: str
    output: str
    step: Pair
    stride_px: Pair


Instruction = Call | GridCall


@dataclass(frozen=True, slots=True)
class WindowedHead:
    """Original operations that run on windows cut from plain maps.

    Attributes:
        cuts: where.
        calls: what, in order.
        batch: windows of one captured run.
        is_free: whether the calls can run more windows than `batch`.
        window_values: how many values are alive at most for each window that runs.
    """

    cuts: tuple[Cut, ...]
    calls: tuple[Call, ...]
    batch: int
    is_free: bool
    window_values: int


@dataclass(frozen=True, slots=True)
class Program:
    """A dense network.

    Attributes:
        image: the name of the input.
        window: `(height, width)` in pixels.
        stride: `(sy, sx)` in pixels.
        instructions: the shared part.
        head: the windowed part, None in tier 1.
        outputs: of the whole.
        logits: of the whole, before a last softmax or sigmoid.
        structure: the model's own output structure: a dict, list or tuple of such, or the place of an output.
        align: whether images are padded to window + k*stride.
        border: where the padding of its layers is.
    """

    image: str
    window: Pair
    stride: Pair
    instructions: tuple[Instruction, ...]
    head: WindowedHead | None
    outputs: tuple[Output, ...]
    logits: tuple[Output, ...]
    structure: Any
    align: bool
    border: Border = "image"
