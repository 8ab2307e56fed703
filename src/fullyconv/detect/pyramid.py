"""At which sizes an image is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from fullyconv.detect.settings import DetectSettings
from fullyconv.errors import ImageError
from fullyconv.grid import Pair, format_size
from fullyconv.images.read import LARGEST_PIXELS


@dataclass(frozen=True, slots=True)
class Level:
    """One size of an image.

    Attributes:
        scale: the factor that was asked for.
        size: `(height, width)` in pixels after scaling, whole numbers.
    """

    scale: float
    size: Pair


def plan_pyramid(
    image_size: Pair, window: Pair, settings: DetectSettings, *, largest_px: int = LARGEST_PIXELS
) -> tuple[Level, ...]:
    """Returns the sizes to look at, each once, in the order of the scales; automatic ones from the largest.

    Scales at which the image would be smaller than the window are left out.

    Args:
        image_size: `(height, width)` in pixels.
        window: the network's, `(height, width)` in pixels.
        settings: which scales.
        largest_px: the most pixels that a size may have; a gigapixel, for images that are held in memory.

    >>> levels = plan_pyramid((100, 200), (25, 25), DetectSettings(scale_step=2))
    >>> [(level.scale, level.size) for level in levels]
    [(1.0, (100, 200)), (0.5, (50, 100)), (0.25, (25, 50))]

    Raises:
        ImageError: the image is smaller than the window at every scale, or larger than `largest_px` at one.
    """
    scales = settings.scales or tuple(_choose_scales(image_size, window, settings))
    sizes: dict[Pair, float] = {}
    for scale in scales:
        sizes.setdefault(_scale_size(image_size, scale), scale)
    levels = tuple(Level(scale, size) for size, scale in sizes.items() if _holds(size, window))
    if not levels:
        largest = _scale_size(image_size, max(scales, default=_first_scale(window, settings)))
        raise ImageError(
            f"the image is smaller than the window: expected at least {format_size(window)} "
            f"(width x height), got {format_size(largest)} at the largest scale; give a larger scale"
        )
    _check_largest(levels, largest_px)
    return levels


def _choose_scales(image_size: Pair, window: Pair, settings: DetectSettings) -> Iterator[float]:
    first = _first_scale(window, settings)
    for power in count():
        scale = first / settings.scale_step**power
        if not _holds(_scale_size(image_size, scale), window):
            return
        yield scale


def _first_scale(window: Pair, settings: DetectSettings) -> float:
    smallest = settings.min_object_px or window
    return min(window[0] / smallest[0], window[1] / smallest[1])


def _scale_size(size: Pair, scale: float) -> Pair:
    return round(size[0] * scale), round(size[1] * scale)


def _holds(size: Pair, window: Pair) -> bool:
    return size[0] >= window[0] and size[1] >= window[1]


def _check_largest(levels: Iterable[Level], largest_px: int) -> None:
    largest = max(levels, key=lambda level: level.scale)
    if largest.size[0] * largest.size[1] > largest_px:
        raise ImageError(
            f"expected at most {largest_px} pixels at every scale, got {format_size(largest.size)} at "
            f"{largest.scale:g}; choose smaller scales or a larger smallest object"
        )
