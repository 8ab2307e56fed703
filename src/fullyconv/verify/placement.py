"""Which axes of a feature map are the image's height and width: seen from how the map grows with the image."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from fullyconv.errors import ModelError
from fullyconv.grid import Pair
from fullyconv.verify.halves import Halves
from fullyconv.verify.splits import MapAxes

# Strides by which the image is made larger. Two, so that a map which grows by one cell is told from one that
# grows by half as many.
_GROWTH = 2


def locate_axes(halves: Halves, image: Tensor, names: Sequence[str], stride_px: Pair) -> tuple[MapAxes, ...]:
    """Returns how the feature maps lie on the image.

    Args:
        halves: the model, cut at the maps.
        image: at window size, `(B, C, h, w)`.
        names: what the conversion calls them.
        stride_px: pixels between neighbouring scores.

    Raises:
        ModelError: a map does not grow along one axis, in whole cells, when the image does.
        Exception: whatever the user's own forward raises on an image larger than the window.
    """
    window = halves.trunk(image)
    taller = halves.trunk(F.pad(image, (0, 0, 0, _GROWTH * stride_px[0])))
    wider = halves.trunk(F.pad(image, (0, _GROWTH * stride_px[1])))
    return tuple(
        _locate(name, maps, stride_px)
        for name, maps in zip(names, zip(window, taller, wider, strict=True), strict=True)
    )


def _locate(name: str, maps: tuple[Tensor, Tensor, Tensor], stride_px: Pair) -> MapAxes:
    window, taller, wider = maps
    rows = _measure_axis(name, window, taller, stride_px[0])
    columns = _measure_axis(name, window, wider, stride_px[1])
    if rows[0] == columns[0]:
        raise ModelError(f"{name}: expected height and width on axes of their own, both are on axis {rows[0]}")
    return MapAxes(name, (rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2]))


def _measure_axis(name: str, window: Tensor, larger: Tensor, stride: int) -> tuple[int, int, int]:
    """Returns the axis that grew, its length for a window, and the pixels between its cells."""
    grown = [axis for axis, size in enumerate(window.shape) if larger.shape[axis : axis + 1] != (size,)]
    is_told = grown and larger.dim() == window.dim()
    cells = larger.shape[grown[0]] - window.shape[grown[0]] if is_told else 0
    if len(grown) != 1 or grown[0] == 0 or cells <= 0 or _GROWTH * stride % cells:
        raise ModelError(
            f"{name}: expected a map that grows along one axis, by whole cells, with {_GROWTH * stride} pixels; "
            f"its shape becomes {tuple(larger.shape)} from {tuple(window.shape)}"
        )
    return grown[0], window.shape[grown[0]], _GROWTH * stride // cells
