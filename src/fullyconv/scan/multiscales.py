"""Coarser copies of a score map on disk, and what tells viewers how it lies over the image: OME-NGFF 0.5.

Each level is half the one before, rounded up, until neither side has more than 256 cells. A coarse cell is the highest
of its four, those without a number left out: a hot cell stays visible however far one zooms out.

Where things are. Positions `p` in this package are measured from the image's corner, so that pixel `k` reaches from `k`
to `k + 1`. NGFF and napari put whole numbers at the centres of pixels: pixel `k` of the image is at `k`, its corner at
`-0.5`. So a position is at `p - 0.5` there, and cell `i`, which belongs to its window's centre, is at
`first_centre - 0.5 + i * step`, in pixels of level 0, times microns per pixel where they are known. A cell of level `n`
stands for `2**n` cells, so its centre lies `(2**n - 1) / 2` cells further.

Of napari's readers, napari-ome-zarr 0.8.2 and before take scale and translation; 0.9 and 0.10 only the first of a
level's transformations, which NGFF says is the scale: there `layer.translate` has to be set to what `ScaleView.locate`
gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from fullyconv.errors import OptionError
from fullyconv.grid import Pair
from fullyconv.images.source import PerPixel
from fullyconv.scan.placement import Placement

# A level of this size is one chunk, which any viewer loads at once.
_COARSEST_CELLS = 256
_NGFF_VERSION = "0.5"
_METHOD = "the highest of each 2x2 cells, those without a number left out"

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Channel:
    """How one score is shown.

    Attributes:
        label: its class.
        colour: red, green and blue, 0 to 255.
        is_shown: whether it is shown at first.
    """

    label: str
    colour: tuple[int, int, int]
    is_shown: bool = True


@dataclass(frozen=True, slots=True)
class ScaleView:
    """How a score map lies over its image, and how it is shown.

    Attributes:
        name: what viewers call it.
        placement: where its cells lie.
        channels: one for each score.
        microns_per_pixel: of level 0, `(y, x)`; None where they are not known, and lengths are pixels.
        limits: the scores shown darkest and brightest; None for those that occur.
    """

    name: str
    placement: Placement
    channels: tuple[Channel, ...]
    microns_per_pixel: PerPixel | None = None
    limits: tuple[float, float] | None = (0.0, 1.0)

    def locate(self, level: int) -> tuple[PerPixel, PerPixel]:
        """Returns NGFF's scale and translation of a level, each `(y, x)`.

        >>> from fullyconv.grid import Grid
        >>> view = ScaleView("heat", Placement(Grid((64, 64), (32, 32), (2, 2)), (512, 512), (4.0, 4.0)), ())
        >>> view.locate(0)  # windows are 256 pixels of level 0: the first one's centre lies between 127 and 128
        ((128.0, 128.0), (127.5, 127.5))
        >>> view.locate(1)  # cells 0 and 1 are at 127.5 and 255.5
        ((256.0, 256.0), (191.5, 191.5))
        """
        microns, factor = self.microns_per_pixel or (1.0, 1.0), 2**level
        steps, firsts = self.placement.step_px, self.placement.first_centre_px
        scale = [factor * step * micron for step, micron in zip(steps, microns, strict=True)]
        shift = [
            (first - 0.5 + (factor - 1) / 2 * step) * micron
            for first, step, micron in zip(firsts, steps, microns, strict=True)
        ]
        return (scale[0], scale[1]), (shift[0], shift[1])


def write_multiscales(group: zarr.Group, view: ScaleView) -> int:
    """Adds the coarser levels `1`, `2`, ... of array `0`, then the metadata `ome`; returns how many levels there are.

    It takes memory for a few chunks. Cut short, it leaves the levels but not what would have viewers read them; run
    again, it makes all anew. Nobody else may write to the group.

    Args:
        group: a zarr v3 group whose array `0` holds the scores `(K, Gy, Gx)`, NaN for none.
        view: how they lie and are shown.

    Raises:
        OptionError: there are not as many channels as scores.
    """
    array = _get_array(group, 0)
    if len(view.channels) != array.shape[0]:
        raise OptionError(f"expected a channel for each of {array.shape[0]} scores, got {len(view.channels)}")
    levels = count_levels((array.shape[1], array.shape[2]))
    group.attrs.pop("ome", None)
    for level in range(1, levels):
        array = _write_coarser(group, level, array)
    group.attrs["ome"] = describe_multiscales(view, levels, view.limits or _find_limits(array))
    return levels


def count_levels(shape: Pair) -> int:
    """Returns how many levels a grid of `(Gy, Gx)` cells has.

    >>> count_levels((256, 200)), count_levels((257, 200)), count_levels((3125, 3125))
    (1, 2, 5)
    """
    return 1 + max(0, -(-max(shape) // _COARSEST_CELLS) - 1).bit_length()


def describe_multiscales(view: ScaleView, levels: int, limits: tuple[float, float]) -> dict[str, Any]:
    """Returns the NGFF metadata of a score map: its attribute `ome`."""
    unit = {} if view.microns_per_pixel is None else {"unit": "micrometer"}
    return {
        "version": _NGFF_VERSION,
        "multiscales": [
            {
                "name": view.name,
                "axes": [{"name": "c", "type": "channel"}, *({"name": n, "type": "space", **unit} for n in "yx")],
                "datasets": [_describe_level(view, level) for level in range(levels)],
                "type": "maximum",
                "metadata": {"description": _METHOD, "method": "fullyconv.scan.multiscales"},
            }
        ],
        "omero": {"channels": [_describe_channel(each, limits) for each in view.channels]},
    }


def shrink(scores: Values) -> Values:
    """Returns `(K, ceil(H / 2), ceil(W / 2))` from `(K, H, W)`: the highest of each 2x2, NaN where all four are.

    >>> shrink(np.array([[[1, 2, 3], [np.nan, 0, np.nan]]])).tolist()
    [[[2.0, 3.0]]]
    """
    rows, columns = scores.shape[1] % 2, scores.shape[2] % 2
    even = np.pad(scores, ((0, 0), (0, rows), (0, columns)), constant_values=np.nan)
    upper, lower = even[:, ::2], even[:, 1::2]
    tall = np.fmax(upper, lower)
    return np.asarray(np.fmax(tall[:, :, ::2], tall[:, :, 1::2]))


def _get_array(group: zarr.Group, level: int) -> zarr.Array[Any]:
    array = group[str(level)]
    assert isinstance(array, zarr.Array)
    return array


def _write_coarser(group: zarr.Group, level: int, finer: zarr.Array[Any]) -> zarr.Array[Any]:
    outputs, height, width = finer.shape
    shape = outputs, -(-height // 2), -(-width // 2)
    coarser = group.create_array(
        str(level),
        shape=shape,
        chunks=tuple(min(pair) for pair in zip(finer.chunks, shape, strict=True)),
        dtype=finer.dtype,
        fill_value=np.nan,
        dimension_names=("c", "y", "x"),
        overwrite=True,
    )
    for scores, rows, columns in _cut(shape, coarser.chunks):
        above = slice(2 * rows.start, 2 * rows.stop), slice(2 * columns.start, 2 * columns.stop)
        coarser[scores, rows, columns] = shrink(np.asarray(finer[(scores, *above)]))
    return coarser


def _cut(shape: Sequence[int], chunks: Sequence[int]) -> Iterator[tuple[slice, slice, slice]]:
    """Yields the chunks of an array of three axes."""
    spans = [
        [slice(start, min(start + step, length)) for start in range(0, length, step)]
        for length, step in zip(shape, chunks, strict=True)
    ]
    return ((scores, rows, columns) for scores in spans[0] for rows in spans[1] for columns in spans[2])


def _describe_level(view: ScaleView, level: int) -> dict[str, Any]:
    scale, shift = view.locate(level)
    return {
        "path": str(level),
        "coordinateTransformations": [
            {"type": "scale", "scale": [1.0, *scale]},
            {"type": "translation", "translation": [0.0, *shift]},
        ],
    }


def _describe_channel(channel: Channel, limits: tuple[float, float]) -> dict[str, Any]:
    least, most = limits
    return {
        "label": channel.label,
        "color": "".join(f"{value:02X}" for value in channel.colour),
        "active": channel.is_shown,
        "window": {"min": least, "max": most, "start": least, "end": most},
    }


def _find_limits(coarsest: zarr.Array[Any]) -> tuple[float, float]:
    """Returns the least and the most that the coarsest level shows, for scores that are not between 0 and 1."""
    found = [np.asarray(coarsest[part]) for part in _cut(coarsest.shape, coarsest.chunks)]
    values = [each[np.isfinite(each)] for each in found]
    if not any(each.size for each in values):
        return 0.0, 1.0
    least, most = (
        min(float(each.min()) for each in values if each.size),
        max(float(each.max()) for each in values if each.size),
    )
    return (least, most) if most > least else (least, least + 1)
