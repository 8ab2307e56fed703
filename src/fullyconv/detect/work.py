"""How much there is to do for a batch of images, without reading their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fullyconv.detect.large import measure_image, plan_large_pyramid
from fullyconv.detect.settings import DetectSettings
from fullyconv.errors import ImageError, MissingExtraError
from fullyconv.grid import Pair
from fullyconv.runtime.work import Work
from fullyconv.scan import DenseScorer, largest_tile_px

# Of a large batch so many are looked at, evenly spread; the others are taken to be like them.
_SAMPLED = 50


def measure_work(dense: DenseScorer, paths: Sequence[Path], settings: DetectSettings) -> Work:
    """Returns what is to be run for the images; those that cannot be read count for nothing.

    Args:
        dense: the network.
        paths: of the images.
        settings: at which sizes they are looked at, and how large a tile may be.
    """
    sampled = paths[:: max(1, len(paths) // _SAMPLED)]
    sizes = [size for path in sampled for size in _list_sizes(path, dense, settings)]
    if not sizes:
        return Work()
    total_px = sum(height * width for height, width in sizes) * len(paths) // len(sampled)
    tile_px = largest_tile_px(dense, settings.memory_bytes)
    height, width = max(sizes, key=lambda size: size[0] * size[1])
    side = round(tile_px**0.5)
    return Work((height, width) if height * width <= tile_px else (side, side), total_px)


def _list_sizes(path: Path, dense: DenseScorer, settings: DetectSettings) -> list[Pair]:
    try:
        levels = plan_large_pyramid(measure_image(path), dense.grid.window_px, settings)
    except (ImageError, MissingExtraError):  # which is told when it is its turn
        return []
    return [level.size for level in levels]
