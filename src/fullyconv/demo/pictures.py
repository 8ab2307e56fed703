"""Pictures that only the demo draws: a sheet of training crops, and the worked example's windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fullyconv.demo.worked import Worked

ACCENT = (79, 201, 184)
_GAP = 4


def draw_sheet(files: Sequence[Path], *, columns: int = 10, zoom: int = 3) -> Image.Image:
    """Returns the crops side by side, each enlarged `zoom` times with its pixels kept square."""
    crops = [Image.open(file).convert("L") for file in files]
    width, height = (side * zoom + _GAP for side in crops[0].size)
    rows = -(-len(crops) // columns)
    sheet = Image.new("L", (columns * width - _GAP, rows * height - _GAP), 128)
    for number, crop in enumerate(crops):
        enlarged = crop.resize((width - _GAP, height - _GAP), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (number % columns * width, number // columns * height))
    return sheet


def draw_windows(worked: Worked) -> Image.Image:
    """Returns the worked example's image with a dot at each window's centre, larger for a higher score.

    Three windows are drawn out: the first, its right neighbour half a window further, and the last.
    """
    picture = Image.blend(worked.photo, Image.new("RGB", worked.photo.size, (16, 20, 24)), 0.45)
    draw = ImageDraw.Draw(picture)
    for cell, share in np.ndenumerate(_stretch(worked.scores)):
        y, x = cell[0] * 32 + 64, cell[1] * 32 + 32
        radius = 2 + 9 * float(share)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ACCENT)
    for cell in ((0, 0), (0, 1), (12, 30)):
        x, y = cell[1] * 32, cell[0] * 32
        draw.rectangle((x, y, x + 63, y + 127), outline=(255, 255, 255), width=3)
    return picture


def _stretch(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = scores.min(), scores.max()
    return np.asarray((scores - low) / max(high - low, 1e-12), dtype=np.float32)
