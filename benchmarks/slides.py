"""Large images to measure with: pyramidal JPEG TIFFs as slide scanners write them, made of scikit-image's tissue.

python benchmarks/slides.py 40000 slide.tif     # 40,000 pixels a side
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
import tifffile
from numpy.typing import NDArray

TILE = 512
MICRONS_PER_PIXEL = 0.5


def write_slide(path: Path, side: int, *, levels: int = 4, quality: int = 85) -> None:
    """Writes a tiled pyramid of `side` pixels a side; each level is half the one before."""
    tissue = np.ascontiguousarray(skimage.data.immunohistochemistry())
    options = {"tile": (TILE, TILE), "photometric": "rgb", "compression": "jpeg", "dtype": np.uint8}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level in range(levels):
            size = -(-side // 2**level)
            file.write(
                _make_tiles(tissue, size, level),
                shape=(size, size, 3),
                subifds=levels - 1 if level == 0 else 0,
                subfiletype=0 if level == 0 else 1,
                resolution=(1e4 / MICRONS_PER_PIXEL, 1e4 / MICRONS_PER_PIXEL),
                resolutionunit="CENTIMETER",
                compressionargs={"level": quality},
                **options,
            )


def _make_tiles(tissue: NDArray[np.uint8], size: int, level: int) -> Iterator[NDArray[np.uint8]]:
    """Yields the tiles of a level: the tissue turned and shifted by place, so that no two neighbours are alike."""
    count = -(-size // TILE)
    step = 2**level
    small = np.ascontiguousarray(np.tile(tissue, (step, step, 1))[::step, ::step])
    for row in range(count):
        for column in range(count):
            turned = np.rot90(small, (row * 7 + column * 3) % 4)
            yield np.ascontiguousarray(np.roll(turned, (row * 37 % TILE, column * 53 % TILE), axis=(0, 1)))


if __name__ == "__main__":
    write_slide(Path(sys.argv[2]), int(sys.argv[1]))
