"""What local approximation (tier 3) brings: its time beside that of crops, and its distance from them.

    python benchmarks/approximation.py [efficientnet_b0 ...] [--rounds 3]

Needs requirements/coverage.txt and scikit-image, for a photo of 512x512 that is enlarged to 1024x1024. Weights are
random, fitted as in coverage.py. Both run in turn in one process; crops in batches of 32, the first 96 of 676, and
their time is multiplied. The distance is what `fullyconv.verify` measures; with trained weights it is another.
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from statistics import median

import numpy as np
import torch
from classifiers.stubs import import_torchvision
from classifiers.weights import randomise
from skimage import data
from torch import Tensor, nn
from trial import draw_images

import fullyconv
from fullyconv import DenseModel
from fullyconv.verify import VerifySettings

_WINDOW, _CROPS, _BATCH = (224, 224), 96, 32


def main() -> None:
    """Prints a block for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["efficientnet_b0", "mobilenet_v3_large"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    image = read_photo()
    for name in options.names:
        module = import_torchvision().models.get_model(name, weights=None)
        randomise(module, draw_images(3, _WINDOW, 0), 0)
        start = time.perf_counter()
        dense = fullyconv.convert(module, _WINDOW, approximate="all")
        print(f"{name}: tier {dense.report.tier}, converted in {time.perf_counter() - start:.1f} s")
        print_times(dense, module, image, options.rounds)
        exact = fullyconv.convert(module, _WINDOW)
        print(fullyconv.verify(exact, module))
        print(fullyconv.verify(dense, module, image, settings=VerifySettings(windows_per_image=32)))


def read_photo() -> Tensor:
    """Returns an image `(1, 3, 1024, 1024)` of mean about 0 and deviation about 1."""
    pixels = torch.from_numpy(np.ascontiguousarray(data.astronaut())).permute(2, 0, 1)[None].float()
    image = nn.functional.interpolate(pixels, (1024, 1024), mode="bilinear", align_corners=False)
    return (image - image.mean()) / image.std()


def print_times(dense: DenseModel, module: nn.Module, image: Tensor, rounds: int) -> None:
    """Prints medians of both, run in turn."""
    rows, columns = dense.grid.shape((image.shape[2], image.shape[3]))
    boxes = [dense.grid.box_xyxy(cell) for cell in product(range(rows), range(columns))][:_CROPS]
    crops = torch.cat([image[:, :, y0:y1, x0:x1] for x0, y0, x1, y1 in boxes])
    near, cut = [], []
    with torch.inference_mode():
        for _ in range(rounds):
            near.append(_measure(lambda: dense(image)))
            cut.append(_measure(lambda: [module(part) for part in crops.split(_BATCH)]) * rows * columns / _CROPS)
    ratio = median(cut) / median(near)
    print(f"  1024x1024, {rows * columns} windows: {median(near):.2f} s, crops {median(cut):.1f} s, {ratio:.1f} times")


def _measure(run: object) -> float:
    assert callable(run)
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
