"""A small chart as a picture: points that a line joins, each with its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIZE = (900, 560)
MARGIN = (90, 92, 90, 70)  # left, top, right, bottom
INK, LINE, GRID = (30, 30, 36), (0, 104, 139), (224, 224, 228)

Point = tuple[float, float, str]


def plot_points(points: Sequence[Point], *, x_label: str, y_label: str, title: str) -> NDArray[np.uint8]:
    """Returns a chart `(H, W, 3)` of points `(x, y, name)`, joined in their order; x on a logarithmic scale.

    Args:
        points: x above 0; at least one.
        x_label: what x is, with its unit.
        y_label: what y is, with its unit.
        title: one line.
    """
    picture = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(picture)
    font, large = ImageFont.load_default(15), ImageFont.load_default(19)
    xs = np.log10([max(point[0], 1e-12) for point in points])
    ys = np.array([point[1] for point in points])
    places = list(
        zip(_place(xs, MARGIN[0], SIZE[0] - MARGIN[2]), _place(-ys, MARGIN[1], SIZE[1] - MARGIN[3]), strict=True)
    )
    for value, y in _mark(ys, MARGIN[1], SIZE[1] - MARGIN[3]):
        draw.line((MARGIN[0], y, SIZE[0] - MARGIN[2], y), fill=GRID)
        draw.text((MARGIN[0] - 10, y), f"{value:.3g}", fill=INK, font=font, anchor="rm")
    if len(places) > 1:
        draw.line(places, fill=LINE, width=2)
    for (x, y), (value, _, name) in zip(places, points, strict=True):
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=LINE)
        draw.text((x + 7, y - 13), name, fill=INK, font=font, anchor="lm")
        draw.text((x, SIZE[1] - MARGIN[3] + 8), f"{value:.3g}", fill=INK, font=font, anchor="ma")
    draw.text((SIZE[0] / 2, SIZE[1] - 14), x_label, fill=INK, font=font, anchor="ms")
    draw.text((12, MARGIN[1] - 22), y_label, fill=INK, font=font, anchor="ls")
    draw.text((SIZE[0] / 2, 26), title, fill=INK, font=large, anchor="ms")
    return np.asarray(picture)


def _place(values: NDArray[np.float64], first: int, last: int) -> list[float]:
    low, high = float(values.min()), float(values.max())
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    inner = 0.06 + 0.88 * share
    return [float(first + part * (last - first)) for part in inner]


def _mark(values: NDArray[np.float64], first: int, last: int) -> list[tuple[float, float]]:
    """Returns values for the axis with their places, downwards."""
    marks = np.linspace(values.min(), values.max(), 5) if values.max() > values.min() else values[:1]
    places = _place(-np.concatenate([marks, values]), first, last)[: len(marks)]
    return list(zip([float(mark) for mark in marks], places, strict=True))
