"""What is checked: a converted network and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fullyconv.analyze import make_plan
from fullyconv.analyze.plan import FeatureMap
from fullyconv.capture.onnx_model import OnnxModel
from fullyconv.capture.torch_export import CapturedModel, capture, evaluate
from fullyconv.graph import Graph
from fullyconv.grid import Grid, Pair
from fullyconv.rewrite import DenseModel, convert
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.verify.derived import find_derived
from fullyconv.verify.fidelity import Measured
from fullyconv.verify.outputs import name_outputs
from fullyconv.verify.shifts import FineGrid
from fullyconv.verify.splits import Probe, SplitTensor

# Random windows compared on their own: as many as this much arithmetic allows, in multiply-accumulates, because
# a wrong weight shows only where its unit is awake.
_WINDOW_MACS = 16e9
_FEWEST_WINDOWS, _MOST_WINDOWS = 8, 64


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A converted network, as far as checking it needs to know it.

    Attributes:
        module: runs on `(N, C, H, W)` and gives `(N, ..., Gy, Gx)` for each output of the original, in its
            structure; `module.logits` gives the same before a last softmax or sigmoid.
        grid: where its scores lie.
        guarantee: what it promises.
        align: whether it pads images with zeros right and bottom to the window and whole strides.
        probe: what the split tensors are for a random window, by which they are recognised in the original.
        windows: how many random windows to compare on their own.
        exact: for an approximation, the network without it.
        alone: if not None, the original must be given each window by itself, so many times in a batch.
        own_stride_px: pixels between neighbouring scores at the network's own stride; None where the grid is no finer.
        margins_px: pixels outside a window that its score depends on, `((top, bottom), (left, right))`.
        runner: what runs the network in the module's place, in the module's own number type; None for the module.
        allowed: the least relative error that is allowed where the runner computes in a coarser arithmetic.
    """

    module: nn.Module
    grid: Grid
    guarantee: Literal["image crops", "feature windows", "approximation"]
    align: bool
    probe: Probe
    windows: int = _MOST_WINDOWS
    exact: nn.Module | None = None
    alone: int | None = None
    own_stride_px: Pair | None = None
    margins_px: tuple[Pair, Pair] = ((0, 0), (0, 0))
    runner: GridModule | None = None
    allowed: float = 0.0

    @property
    def fine(self) -> FineGrid:
        """The grid, and the network's own."""
        own = replace(self.grid, stride_px=self.own_stride_px or self.grid.stride_px)
        return FineGrid(self.grid, own, self.margins_px)


def describe(dense: DenseModel, original: nn.Module | OnnxModel, seed: int) -> Subject:
    """Returns what checking `dense` needs to know of it.

    The original is captured only to name its feature maps: their values for a random window say which tensors
    of its forward they are. What those are on larger images, the original's own forward computes.

    Raises:
        CaptureError: the original cannot run at the window, or cannot be followed.
    """
    subject, choice = _describe(dense, original, seed), dense.choice
    allowed = 0.0 if choice is None or choice.runtime.is_exact else choice.max_error
    return replace(subject, runner=dense.runner, allowed=allowed)


def _describe(dense: DenseModel, original: nn.Module | OnnxModel, seed: int) -> Subject:
    if isinstance(original, OnnxModel):
        from fullyconv.verify.onnx_subject import describe_onnx

        return describe_onnx(dense, original, seed)
    if isinstance(dense.module, CropModule):
        return _describe_crops(dense, dense.module, seed)
    captured = capture(original, dense.grid.window_px, dense.card.channels)
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(captured.graph.image.shape, generator=generator, dtype=torch.float64)
    is_approximate = dense.image_report.guarantee == "approximation"  # then nothing equals a patch
    maps = () if is_approximate else find_feature_maps(dense, captured.graph)
    values = _evaluate(captured, image, tuple(feature_map.value for feature_map in maps))
    derived = find_derived(captured.graph, [found.value for found in maps])
    splits = tuple(
        SplitTensor(found.value, value, found.value in derived) for found, value in zip(maps, values, strict=True)
    )
    report = dense.report
    probe, windows = Probe(image, splits), count_windows(captured.graph)
    exact = None
    if report.guarantee == "approximation":
        exact = convert(
            original, dense.grid.window_px, channels=dense.card.channels, stride=dense.grid.stride_px
        ).module
    return Subject(
        dense.module, dense.grid, report.guarantee, report.align, probe, windows, exact,
        own_stride_px=dense.own_stride_px, margins_px=dense.image_margins_px,
    )  # fmt: skip


def _describe_crops(dense: DenseModel, module: CropModule, seed: int) -> Subject:
    """Returns the same for a classifier that runs itself on crops: the image is the only map there is."""
    layout, generator = module.layout, torch.Generator().manual_seed(seed)
    image = torch.randn(layout.cut.shape, generator=generator, dtype=torch.float64)
    alone = None if layout.is_free else layout.batch
    return Subject(module, dense.grid, "image crops", False, Probe(image, ()), _FEWEST_WINDOWS, alone=alone)


def count_windows(graph: Graph) -> int:
    """Returns how many random windows to compare on their own."""
    macs = sum(node.macs for node in graph.nodes)
    return max(_FEWEST_WINDOWS, min(_MOST_WINDOWS, int(_WINDOW_MACS / max(macs, 1))))


def _evaluate(captured: CapturedModel, image: Tensor, names: tuple[str, ...]) -> list[Tensor]:
    try:
        return list(evaluate(captured, image, names))
    except RuntimeError:  # a model with float32 written into it; its feature maps are known well enough by that
        return [value.to(image.dtype) for value in evaluate(captured, image.float(), names)]


def find_feature_maps(dense: DenseModel, graph: Graph) -> tuple[FeatureMap, ...]:
    """Returns the feature maps by the names they have in this capture.

    A network converted from another form of the same model, a file say, may know them by other names.
    """
    shapes = {value.name: value.shape for node in graph.nodes for value in node.outputs}
    shapes[graph.image.name] = graph.image.shape
    known = all(shapes.get(feature_map.value) == feature_map.shape for feature_map in dense.feature_maps)
    return dense.feature_maps if known else make_plan(graph).feature_maps


def run_dense(module: Any, images: Tensor) -> dict[str, Measured]:
    """Returns the outputs `(N, ..., Gy, Gx)` of a converted network by name.

    The logits are None where they are the scores, because there is no last activation.
    """
    with torch.no_grad():
        scores = name_outputs(module(images))
        ends_plainly = isinstance(module, GridModule) and not module.ends_in_activation
        logits = scores if ends_plainly else name_outputs(module.logits(images))
    return {
        name: Measured(values, None if _is_equal(logits[name], values) else logits[name])
        for name, values in scores.items()
    }


def _is_equal(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.equal(first.nan_to_num(), second.nan_to_num())
