"""From what a person asks for to a scan that can run: tiles, the score map's layout, and what all of it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import fullyconv
from fullyconv.errors import OptionError
from fullyconv.grid import Pair, format_size
from fullyconv.images import match_channels
from fullyconv.images.pixels import to_image8
from fullyconv.images.source import Source, SourceSpec
from fullyconv.scan.candidates import Seeking
from fullyconv.scan.description import ScanDescription, ScannedImage
from fullyconv.scan.driver import IMAGE, ScanOrder
from fullyconv.scan.job import ScanJob
from fullyconv.scan.memory import plan_tile_px
from fullyconv.scan.network import NetworkSpec
from fullyconv.scan.outputs import choose_classes, measure_outputs, name_scores
from fullyconv.scan.score_store import ScoreLayout, align_tile
from fullyconv.scan.scorer import DenseScorer
from fullyconv.scan.tiles import TilePlan, plan_tiles

SCAN_MEMORY_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class ScanSettings:
    """How to scan.

    Attributes:
        memory_bytes: what scanning may take in all, beside the network's weights and the libraries themselves; each
            of several workers as much, so that the tiles do not depend on how many there are.
        output: which output to take of a network that has several; the first if None.
        classes: keep only these scores; all if None.
        threshold: note cells that reach it as what may be detections; none if None.
        threads: how many threads torch computes a tile with; None for what the engine chooses.
    """

    memory_bytes: int = SCAN_MEMORY_BYTES
    output: str | None = None
    classes: tuple[str, ...] | None = None
    threshold: float | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise OptionError(f"threads: expected at least 1, got {self.threads}")


@dataclass(frozen=True, slots=True)
class ScanTarget:
    """The image, as it is to be scanned.

    Attributes:
        image: which image, at the resolution that is scanned.
        level: which of its levels.
        full: the image in which positions are told: `image` itself, or the one that it is a scaled form of.
    """

    image: SourceSpec
    level: int
    full: SourceSpec


def plan_scan(
    network: NetworkSpec,
    dense: DenseScorer,
    target: ScanTarget,
    settings: ScanSettings,
    *,
    model_name: str,
    also: Mapping[str, str] | None = None,
) -> ScanPlan:
    """Returns the scan, all but where it goes.

    Args:
        network: which network.
        dense: the network, open.
        target: which image.
        settings: how.
        model_name: what people call the network.
        also: what else the scan depends on, name by name, such as which cells are asked for.

    Raises:
        ImageError: the image is smaller than the window, or its channels do not suit the network.
        ModelError: the network gives no scores, or not as many as its card names.
        OptionError: there is no such output, class or level.
    """
    outputs, dtype = measure_outputs(dense, settings.output)
    names = name_scores(dense.card, outputs)
    kept = None if settings.classes is None else choose_classes(names, dense.card, settings.classes)
    scanned = _describe_image(target, dense)
    plan = _plan_tiles(dense, scanned.size, settings.memory_bytes, outputs)
    stored = names if kept is None else tuple(names[index] for index in kept)
    job = ScanJob(network, target.image, target.level, plan, settings.output, kept, settings.threads)
    description = ScanDescription(
        version=fullyconv.__version__,
        model=model_name,
        card=dense.card,
        grid=dense.grid,
        outputs=stored,
        image=scanned,
        guarantee=dense.report.guarantee,
    )
    return ScanPlan(
        job=job,
        layout=ScoreLayout((len(stored), *dense.grid.shape(scanned.size)), plan.tile_cells, dtype),
        description=description,
        settings={**network.identify(), **_describe_settings(target, settings, plan), **(also or {})},
        seeking=_plan_seeking(stored, dense, settings),
    )


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """A scan, all but where it goes and what computes it; see `ScanOrder`.

    Attributes:
        job: what is scanned with what.
        layout: of the score map.
        description: of the score map.
        settings: what the scan depends on.
        seeking: what to find.
    """

    job: ScanJob
    layout: ScoreLayout
    description: ScanDescription
    settings: Mapping[str, str]
    seeking: Seeking | None

    def order(self, output: Path, *, overwrite: bool = False, retry_failed: bool = False) -> ScanOrder:
        """Returns the scan with where it goes."""
        return ScanOrder(
            job=self.job,
            output=output,
            layout=self.layout,
            description=self.description,
            settings=self.settings,
            seeking=self.seeking,
            overwrite=overwrite,
            retry_failed=retry_failed,
        )


def _describe_image(target: ScanTarget, dense: DenseScorer) -> ScannedImage:
    source = target.image.open()
    full = target.full.open()
    try:
        match_channels(to_image8(np.zeros((1, 1, source.channels), source.dtype), bands=target.image.bands), dense.card)
        size, whole = _choose_level(source, target), full.levels[0].size
        return ScannedImage(
            name=target.full.name,
            size=size,
            full_size=whole,
            downsample=(whole[0] / size[0], whole[1] / size[1]),
            microns_per_pixel=full.microns_per_pixel,
            georeference=full.georeference,
        )
    finally:
        source.close()
        full.close()


def _choose_level(source: Source, target: ScanTarget) -> Pair:
    if not 0 <= target.level < len(source.levels):
        listed = ", ".join(f"{number} ({format_size(level.size)})" for number, level in enumerate(source.levels))
        raise OptionError(f"level {target.level}: {target.image.name} has no such level; it has {listed}")
    return source.levels[target.level].size


def _plan_tiles(dense: DenseScorer, size: Pair, memory_bytes: int, outputs: int) -> TilePlan:
    tile_px = plan_tile_px(dense, memory_bytes, outputs)
    plan = plan_tiles(dense.grid, size, dense.margins_px, tile_px=tile_px, begin_px=dense.own_stride_px)
    return TilePlan(plan.grid, size, plan.margins_px, align_tile(plan.tile_cells), plan.begin_px)


def _describe_settings(target: ScanTarget, settings: ScanSettings, plan: TilePlan) -> dict[str, str]:
    return {
        IMAGE: target.image.identify(),
        "level": f"{target.level} ({format_size(plan.image_size)})",
        "scores": settings.output or "the first",
        "classes": ", ".join(settings.classes) if settings.classes is not None else "all",
        "threshold": "none" if settings.threshold is None else str(settings.threshold),
        "cells of a tile (by --memory)": format_size(plan.tile_cells),
        "fullyconv": fullyconv.__version__,
    }


def _plan_seeking(stored: tuple[str, ...], dense: DenseScorer, settings: ScanSettings) -> Seeking | None:
    if settings.threshold is None:
        return None
    return Seeking(settings.threshold, choose_classes(stored, dense.card, None))
