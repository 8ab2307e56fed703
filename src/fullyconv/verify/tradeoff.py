"""The dial between speed and crops: for each place where a network can be split, what it costs and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn

from fullyconv.analyze import Plan, make_plan
from fullyconv.capture.batching import MIXES_BATCH, mixes_batch
from fullyconv.capture.export import find_input
from fullyconv.capture.torch_export import CapturedModel, capture_on, free_batch
from fullyconv.card import ModelCard
from fullyconv.errors import FollowError, OptionError
from fullyconv.graph import Graph, Pair
from fullyconv.rewrite.conversion import build_dense
from fullyconv.verify.fidelity import Fidelity, Measured, Scene, measure_fidelity
from fullyconv.verify.original import Model, Original, open_original
from fullyconv.verify.outputs import pick_cells
from fullyconv.verify.references import answer_crops
from fullyconv.verify.samples import Sample, choose_cells, read_samples
from fullyconv.verify.subject import run_dense


@dataclass(frozen=True, slots=True)
class SplitPoint:
    """One place to split a network: before it runs densely, after it on windows.

    Attributes:
        windowed_from: what to give to `convert`; "image" for crops, None for the split that needs no asking.
        macs_per_window: multiply-accumulates for each score on a large image.
        shared: share of one window's arithmetic that runs densely, 0 to 1.
        mean_difference: of scores, from the classifier on pixel crops.
        correlation: of logits with those of crops; None where they are constant.
        top1_agreement: share of windows with the crop's class; None where there are no classes.
        windows: how many were compared.
    """

    windowed_from: str | None
    macs_per_window: float
    shared: float
    mean_difference: float
    correlation: float | None
    top1_agreement: float | None
    windows: int


@dataclass(frozen=True, slots=True)
class TradeoffSettings:
    """How thoroughly to measure.

    Attributes:
        splits: how many places at most, spread evenly over the network's arithmetic.
        windows_per_image: windows compared at most on each image.
        seed: of the choice of windows.
    """

    splits: int = 8
    windows_per_image: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.splits < 2 or self.windows_per_image < 2:
            raise OptionError("tradeoff: expected at least 2 splits and 2 windows an image")


DEFAULTS = TradeoffSettings()
Progress = Callable[[int, int], None]


def measure_tradeoff(
    model: Model,
    window: Pair,
    images: Any,
    *,
    card: ModelCard | None = None,
    settings: TradeoffSettings = DEFAULTS,
    progress: Progress | None = None,
) -> tuple[SplitPoint, ...]:
    """Returns what each sensible split of a network costs and how near to crops it comes, crops first.

    Args:
        model: a module, an exported program, or the path of a `.pt2` or `.t7`.
        window: `(height, width)` in pixels.
        images: as for `verify`: paths, arrays or tensors.
        card: how to prepare pixels; plain ones of 0 to 1 where None.
        settings: how many splits and windows.
        progress: is told how many splits are done, of how many.

    Raises:
        CaptureError: the model cannot run at the window.
        FollowError: it runs on crops only, so that there is nothing to choose.
        ImageError: an image cannot be read, or is too small.
    """
    original = open_original(model)
    image = find_input(original, window, card.channels if card else None)
    captured = capture_on(original, image)
    if mixes_batch(original, image):
        raise FollowError(f"there are no places to choose from: {MIXES_BATCH}")
    captured = free_batch(captured, original)
    card = card or ModelCard(window, captured.graph.image.shape[1])
    samples = read_samples(images, card)
    plans = _choose_plans(captured.graph, settings.splits)
    points = []
    for done, (layer, plan) in enumerate(plans):
        found = list(_measure(plan, captured, original, samples, settings))
        points.append(_summarise(layer, plan, captured.graph, found))
        if progress is not None:
            progress(done + 1, len(plans))
    return tuple(points)


def _choose_plans(graph: Graph, most: int) -> list[tuple[str | None, Plan]]:
    """Returns splits from the image to the latest one, that differ in what they share."""
    natural = make_plan(graph)
    plans = [("image", make_plan(graph, stride=natural.grid.stride_px, windowed_from="image"))]
    layers = dict.fromkeys(".".join(node.layer.split(".")[:2]) for node in graph.nodes if node.layer)
    for layer in layers:
        plan = make_plan(graph, windowed_from=layer)
        if plans[-1][1].shared_flops < plan.shared_flops < natural.shared_flops:
            plans.append((layer, plan))
    kept = _spread([plan.shared_flops for _, plan in plans], most - 1)
    chosen: list[tuple[str | None, Plan]] = [plans[place] for place in kept]
    return [*chosen, (None, natural)]


def _spread(values: list[float], most: int) -> list[int]:
    """Returns the places of at most `most` of ascending values, the first and those nearest to even steps."""
    if len(values) <= most or most == 1:
        return list(range(min(len(values), most)))
    aims = [values[0] + (values[-1] - values[0]) * step / (most - 1) for step in range(most)]
    return sorted({min(range(len(values)), key=lambda place: abs(values[place] - aim)) for aim in aims})


def _measure(
    plan: Plan, captured: CapturedModel, original: nn.Module, samples: list[Sample], settings: TradeoffSettings
) -> Iterator[Fidelity]:
    module = build_dense(plan, captured, None).module
    window = torch.zeros(1, *captured.graph.image.shape[1:])
    crops_of = Original(original, window, torch.float32)
    for sample in samples:
        cells = choose_cells(
            len(sample.images), plan.grid.shape(sample.size_px()), settings.windows_per_image, settings.seed
        )
        crops = answer_crops(crops_of, sample.images, plan.grid, cells)
        for name, values in run_dense(module, sample.images.float()).items():
            logits = None if values.logits is None else pick_cells(values.logits, cells)
            dense = Measured(pick_cells(values.scores, cells), logits)
            reference = Measured(crops[name].scores, crops[name].logits)
            scene = Scene(sample.name, sample.size_px(), plan.grid, cells)
            yield measure_fidelity(name, scene, dense, reference)


def _summarise(layer: str | None, plan: Plan, graph: Graph, found: list[Fidelity]) -> SplitPoint:
    windows = sum(item.cells for item in found)

    def average(values: list[float | None]) -> float | None:
        known = [(value, item.cells) for value, item in zip(values, found, strict=True) if value is not None]
        return sum(value * cells for value, cells in known) / sum(c for _, c in known) if known else None

    return SplitPoint(
        windowed_from=layer,
        macs_per_window=_count_macs(plan, graph),
        shared=plan.shared_flops,
        mean_difference=average([item.mean_difference for item in found]) or 0.0,
        correlation=average([item.correlation for item in found]),
        top1_agreement=average([item.top1_agreement for item in found]),
        windows=windows,
    )


def _count_macs(plan: Plan, graph: Graph) -> float:
    """Returns the arithmetic of one score: the dense part's for one cell's area, the windowed part's whole."""
    total = sum(node.macs for node in graph.nodes)
    per_cell = prod(plan.grid.stride_px) / prod(plan.grid.window_px)
    return total * (plan.shared_flops * per_cell + (1 - plan.shared_flops))
