"""The demo's pictures: files that lie inside the installed scikit-image package, so nothing is downloaded.

`lfw_subset` holds 200 grey crops of 25x25 pixels: first 100 faces, then 100 cut from places without one. The
photos without a face are dealt out in alphabetical order, one for training, the next held out, so that no
taste enters the choice. `camera` and `coins` are left out because they show faces; `motorcycle_right` because
it shows the same scene as `motorcycle_left`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fullyconv.atomic import make_folder, write_whole
from fullyconv.errors import MissingExtraError, require_extra

WINDOW = (25, 25)
PORTRAIT = "astronaut.png"
WORKED_PHOTO = "motorcycle_left.png"
# Where the only face of the portrait is, read off the picture: fringe to chin, framed as the crops are.
FACE_XYXY = (174.0, 84.0, 270.0, 188.0)

FACELESS = (
    "brick.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "page.png",
    "retina.jpg",
    "rocket.jpg",
    "text.png",
)


@dataclass(frozen=True, slots=True)
class DemoData:
    """Where the demo's inputs are.

    Attributes:
        crops: a folder with the folders `face` and `other`, 100 pictures each.
        negatives: photos without a face, for the rounds of training.
        held_out: other photos without a face, which training never sees.
        portrait: the photo with one face.
        worked_photo: the photo of which the worked example's image is made.
    """

    crops: Path
    negatives: tuple[Path, ...]
    held_out: tuple[Path, ...]
    portrait: Path
    worked_photo: Path


def prepare_data(folder: Path) -> DemoData:
    """Writes the crops as pictures below `folder` and finds the photos.

    Raises:
        MissingExtraError: scikit-image is not installed, or comes without its pictures.
        OutputError: the folder cannot be written to.
    """
    photos = {name: _find_photo(name) for name in (*FACELESS, PORTRAIT, WORKED_PHOTO)}
    crops = np.load(_find_photo("lfw_subset.npy"))
    _write_crops(folder / "crops" / "face", crops[:100])
    _write_crops(folder / "crops" / "other", crops[100:])
    return DemoData(
        crops=folder / "crops",
        negatives=tuple(photos[name] for name in FACELESS[::2]),
        held_out=tuple(photos[name] for name in FACELESS[1::2]),
        portrait=photos[PORTRAIT],
        worked_photo=photos[WORKED_PHOTO],
    )


def _find_photo(name: str) -> Path:
    package = require_extra("skimage", "demo")
    path = Path(str(package.__file__)).parent / "data" / name
    if not path.is_file():
        raise MissingExtraError(
            f"{path}: this scikit-image comes without the picture; install it again: "
            "pip install --force-reinstall scikit-image"
        )
    return path


def _write_crops(folder: Path, crops: NDArray[np.floating]) -> None:
    make_folder(folder)
    for number, crop in enumerate(crops):
        with write_whole(folder / f"{number:03}.png") as part:
            Image.fromarray(np.uint8(np.rint(crop * 255))).save(part)
