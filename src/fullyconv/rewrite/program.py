"""The dense network for torch: ATen calls in order, the windowed head, and how outputs are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fullyconv.analyze.plan import Cut, Output
from fullyconv.capture.calls import Call
from fullyconv.card import Border
from fullyconv.graph import Pair
from fullyconv.refine.edges import Edge
from fullyconv.refine.slides import Slide


@dataclass(frozen=True, slots=True)
class GridCall:
    """Every `step`-th cell of `source`, as many as there are windows at `stride_px` on the image."""

    source: str
    output: str
    step: Pair
    stride_px: Pair


Instruction = Call | GridCall


@dataclass(frozen=True, slots=True)
class StepCalls:
    """The instructions of one step.

    Attributes:
        calls: how many they are; the last one makes the step's output.
        edge: what the step makes of a map's end.
        slide: how the step makes cells coarser or finer; None where it does not.
    """

    calls: int
    edge: Edge
    slide: Slide | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GridProgram:
    """What every dense network has, whatever runs it.

    Attributes:
        image: the name of the input.
        window: `(height, width)` in pixels.
        stride: `(sy, sx)` in pixels.
        outputs: of the whole.
        logits: of the whole, before a last softmax or sigmoid.
        structure: the model's own output structure: a dict, list or tuple of such, or the place of an output.
        border: where the padding of its layers is.
    """

    image: str
    window: Pair
    stride: Pair
    outputs: tuple[Output, ...]
    logits: tuple[Output, ...]
    structure: Any
    border: Border = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(GridProgram):
    """A dense network for torch.

    Attributes:
        instructions: the shared part.
        head: the windowed part, None in tier 1.
        align: whether images are padded to window + k*stride.
        own_stride: at which the instructions run; where `stride` is finer, they run on fragments.
        steps: what the instructions belong to, in their order.
    """

    instructions: tuple[Instruction, ...]
    head: WindowedHead | None
    align: bool
    own_stride: Pair
    steps: tuple[StepCalls, ...]


@dataclass(frozen=True, slots=True)
class OnnxHead:
    """How a windowed head in ONNX runs.

    Attributes:
        cuts: where its windows are cut.
        batch: windows of one captured run.
        is_free: whether it can run more or fewer windows than `batch`.
        window_bytes: about what one window takes while it runs.
    """

    cuts: tuple[Cut, ...]
    batch: int
    is_free: bool
    window_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxProgram(GridProgram):
    """A dense network that onnxruntime runs.

    Attributes:
        names: for each dense tensor that logits or windows are made of, its name in the model.
        head: the windowed part, None in tier 1.
        dtype: of the images, as numpy calls it.
        bytes_per_pixel: about what running it takes for each pixel of the image.
        made_at: the network's own stride where `stride` is finer, else None.
    """

    names: Mapping[str, str]
    head: OnnxHead | None
    dtype: str
    bytes_per_pixel: int
    made_at: Pair | None = None

    @property
    def own_stride(self) -> Pair:
        """Pixels between neighbouring scores at the network's own stride."""
        return self.made_at or self.stride
