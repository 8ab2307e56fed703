"""A folder of labelled crops, `CROPS/<class>/...`, and the arrays that training reads from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fullyconv.card import ModelCard, Preprocessing
from fullyconv.errors import DataError
from fullyconv.grid import Pair
from fullyconv.images import Image8, match_channels, read_image, resize

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
FEWEST_CROPS = 4  # three to learn from and one to check on


@dataclass(frozen=True, slots=True)
class CropFolder:
    """What a folder of crops holds, before any picture is read.

    Attributes:
        classes: names of the class folders, sorted.
        files: the picture files of each class, sorted, in the order of `classes`.
    """

    classes: tuple[str, ...]
    files: tuple[tuple[Path, ...], ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of crops of each class."""
        return {name: len(files) for name, files in zip(self.classes, self.files, strict=True)}


@dataclass(frozen=True, slots=True, eq=False)
class CropSet:
    """Crops in memory.

    Attributes:
        images: uint8 `(N, C, H, W)`, C is 1 (grey) or 3 (red, green, blue).
        labels: int64 `(N,)`, indices of `classes`.
        classes: class names.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8 or len(self.images) != len(self.labels):
            raise DataError(
                f"crops: expected uint8 images (N, C, H, W) and N labels, got {self.images.dtype} "
                f"{self.images.shape} and {len(self.labels)} labels"
            )
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise DataError(f"crops: expected labels 0 to {len(self.classes) - 1}, got {set(self.labels)}")

    @property
    def counts(self) -> dict[str, int]:
        """Number of crops of each class."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, found.tolist(), strict=True))

    def extend(self, images: NDArray[np.uint8], class_name: str) -> CropSet:
        """Returns these crops and `images`, uint8 `(M, C, H, W)`, as further crops of one class."""
        labels = np.full(len(images), self.classes.index(class_name), np.int64)
        return CropSet(np.concatenate([self.images, images]), np.concatenate([self.labels, labels]), self.classes)

    def select(self, indices: NDArray[np.int64]) -> CropSet:
        """Returns the crops at `indices`, in that order."""
        return CropSet(self.images[indices], self.labels[indices], self.classes)


def list_crops(folder: Path, *, one_class_suffices: bool = False) -> CropFolder:
    """Returns the class folders of `folder` and their pictures, nested ones included.

    Args:
        folder: holds one folder for each class.
        one_class_suffices: true when the background comes from elsewhere (`--negatives`).

    Raises:
        DataError: the folder or its class folders are missing, a class is empty or has fewer than 4
            crops, or there is only one class.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder with one folder of crops for each class, found none")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names:
        raise DataError(
            f"{folder}: expected one folder of crops for each class, found no folder; "
            "sort the crops into folders named after their classes"
        )
    crops = CropFolder(tuple(names), tuple(_list_pictures(folder / name) for name in names))
    _check_counts(folder, crops)
    if len(names) == 1 and not one_class_suffices:
        raise DataError(
            f"{folder}: expected at least two classes, found only {names[0]!r}; "
            "add a folder of crops without the object, or pass --negatives"
        )
    return crops


def read_crops(crops: CropFolder, window: Pair) -> tuple[CropSet, int]:
    """Returns the crops at window size, and how many of them had to be resized to it.

    They are grey if every file is grey, else red, green and blue.

    Raises:
        ImageError: a file cannot be read; the message names it.
    """
    paths = [path for files in crops.files for path in files]
    pictures = [read_image(path) for path in paths]
    resized = sum(picture.shape[:2] != window for picture in pictures)
    labels = np.repeat(np.arange(len(crops.classes)), [len(files) for files in crops.files])
    return CropSet(stack_pictures(pictures, window), labels.astype(np.int64), crops.classes), resized


def stack_pictures(pictures: Sequence[Image8], window: Pair, channels: int | None = None) -> NDArray[np.uint8]:
    """Returns pictures `(H, W, 1 or 3)` of any sizes as uint8 `(N, C, height, width)` at window size.

    C is `channels`, or 1 if all are grey, else 3.
    """
    if channels is None:
        channels = max((picture.shape[2] for picture in pictures), default=1)
    stacked = np.empty((len(pictures), channels, *window), np.uint8)
    for place, picture in zip(stacked, pictures, strict=True):
        place[:] = resize(match_colour(picture, channels), window).transpose(2, 0, 1)
    return stacked


def match_colour(picture: Image8, channels: int) -> Image8:
    """Returns a picture `(H, W, 1 or 3)` as uint8 `(H, W, channels)`: 1 is grey, 3 is red, green, blue."""
    colour = Preprocessing(colour="grey" if channels == 1 else "rgb")
    return match_channels(picture, ModelCard((1, 1), channels, preprocessing=colour))


def _list_pictures(folder: Path) -> tuple[Path, ...]:
    return tuple(
        sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file() and not path.name.startswith(".")
        )
    )


def _check_counts(folder: Path, crops: CropFolder) -> None:
    for name, count in crops.counts.items():
        if count == 0:
            raise DataError(
                f"{folder / name}: expected crops of class {name!r}, found no picture; "
                f"add some ({', '.join(sorted(PICTURE_SUFFIXES))}) or remove the folder"
            )
        if count < FEWEST_CROPS:
            raise DataError(
                f"{folder / name}: expected at least {FEWEST_CROPS} crops of class {name!r}, "
                f"to learn from and to check on, found {count}; add more"
            )
