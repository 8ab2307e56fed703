"""Pictures for tests: smooth, so that lossy formats keep them, and different everywhere."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from fullyconv.images.source import Source

REGIONS = [((0, 0), (100, 120)), ((17, 5), (70, 99)), ((31, 47), (2, 2)), ((99, 119), (1, 1)), ((64, 0), (36, 120))]


def make_picture(height: int = 100, width: int = 120, channels: int = 3, *, dtype: type = np.uint8, seed: int = 3):
    """`(height, width, channels)`; with 16 bits, values that use all of them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, channels), dtype=np.uint8)
    planes = [Image.fromarray(coarse[:, :, index]).resize((width, height)) for index in range(channels)]
    picture = np.stack([np.asarray(plane) for plane in planes], axis=2)
    return picture if dtype == np.uint8 else picture.astype(np.uint16) * 256 + picture[::-1, ::-1]


def read_whole(source: Source, level: int = 0):
    """All pixels of a level; the source is closed."""
    with closing(source):
        return source.read(level, (0, 0), source.levels[level].size)


def read_by_pillow(path: Path, mode: str | None = None):
    """The pixels as an independent reader has them, `(H, W, C)`."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert(mode) if mode else picture)
    return pixels.reshape(*pixels.shape[:2], -1)


def check_regions(source: Source, *levels, atol: int = 0) -> None:
    """The source has these levels, whichever region is read; the source is closed."""
    with closing(source):
        assert [level.size for level in source.levels] == [pixels.shape[:2] for pixels in levels]
        for level, expected in enumerate(levels):
            for origin, size in REGIONS:
                _check_region(source, level, expected, _fit(origin, size, expected.shape), atol)


def _fit(origin, size, shape):
    y, x = (min(start, length - 1) for start, length in zip(origin, shape[:2], strict=True))
    return y, x, min(size[0], shape[0] - y), min(size[1], shape[1] - x)


def _check_region(source: Source, level: int, expected, region, atol: int) -> None:
    y, x, height, width = region
    got = source.read(level, (y, x), (height, width))
    assert got.dtype == source.dtype
    assert got.shape == (height, width, source.channels)
    difference = np.abs(got.astype(int) - expected[y : y + height, x : x + width].astype(int))
    assert difference.max() <= atol, f"level {level}, {height}x{width} from y={y}, x={x}"
