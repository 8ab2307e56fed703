"""Georeferenced images of the many kinds that GDAL knows, read by rasterio; and where a TIFF file lies on Earth."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fullyconv.errors import FullyconvError, ImageError, require_extra
from fullyconv.grid import Pair
from fullyconv.images.file_spec import FileSpec
from fullyconv.images.identity import check_file
from fullyconv.images.region_source import RegionSource, explain
from fullyconv.images.source import Georeference, Pixels
from fullyconv.images.stored import Bands, Stored, choose_bands, guess_usual, measure_levels


@dataclass(frozen=True, slots=True)
class GeoSpec(FileSpec):
    """A file that GDAL reads (GeoTIFF, COG, JPEG 2000 and others), its overviews as levels.

    Values that stand for "no data" are read as they are stored. A palette becomes RGB.
    """

    def open(self) -> RegionSource:
        """Opens the file.

        Raises:
            ImageError: the file is missing, damaged, or of a kind that is not known.
            MissingExtraError: rasterio is not installed.
        """
        rasterio = require_extra("rasterio", "geo")
        check_file(self.path)
        opened: list[Any] = []
        try:
            with warnings.catch_warnings(action="ignore"):  # of images that lie nowhere on Earth
                opened.append(rasterio.open(self.path))
                for level in range(len(opened[0].overviews(1))):
                    opened.append(rasterio.open(self.path, overview_level=level))
            return _describe(self.name, opened, self.bands)
        except Exception as error:  # whatever damaged bytes bring about
            for dataset in opened:
                dataset.close()
            if isinstance(error, FullyconvError):
                raise
            raise ImageError(f"{self.path}: the image cannot be read: {explain(error)}") from None


class GeoFetcher:
    """Fetches regions from open datasets, one for each level."""

    def __init__(self, datasets: list[Any], palette: Pixels | None, bands: Bands) -> None:
        self._datasets, self._palette, self._bands = datasets, palette, bands

    def fetch(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the chosen bands of a region."""
        with require_extra("rasterio", "geo").Env():  # else GDAL prints what is in the errors as well
            return self._read(level, origin_yx, size)

    def close(self) -> None:
        """Closes the datasets."""
        for dataset in self._datasets:
            dataset.close()

    def _read(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        rows, columns = ((start, start + length) for start, length in zip(origin_yx, size, strict=True))
        if self._palette is not None:
            indices = self._datasets[level].read(1, window=(rows, columns))
            return np.asarray(self._palette[indices][:, :, list(self._bands)])
        planes = self._datasets[level].read([band + 1 for band in self._bands], window=(rows, columns))
        return np.ascontiguousarray(planes.transpose(1, 2, 0))


def read_georeference(path: Path) -> Georeference | None:
    """Returns where a file lies on Earth; None if it does not say, or if rasterio (the extra `geo`) is missing."""
    if find_spec("rasterio") is None:
        return None
    rasterio = require_extra("rasterio", "geo")
    with warnings.catch_warnings(action="ignore"), rasterio.open(path) as dataset:
        return _get_georeference(dataset)


def _get_georeference(dataset: Any) -> Georeference | None:
    if dataset.crs is None:
        return None
    a, b, c, d, e, f = map(float, tuple(dataset.transform)[:6])
    return Georeference((a, b, c, d, e, f), dataset.crs.to_wkt())


def _describe(name: str, datasets: list[Any], bands: Bands | None) -> RegionSource:
    first = datasets[0]
    if len(set(first.dtypes)) > 1:
        raise ImageError(
            f"{name}: expected bands of one kind, got {', '.join(first.dtypes)}; save those that are meant"
        )
    palette = _get_palette(first)
    levels = measure_levels([(dataset.height, dataset.width) for dataset in datasets])
    count = first.count if palette is None else 3
    usual = _find_usual(first) if palette is None else (0, 1, 2)
    stored = Stored(levels, np.dtype(first.dtypes[0]), count, usual, georeference=_get_georeference(first))
    chosen = choose_bands(name, stored, bands)
    return RegionSource(name, stored, chosen, GeoFetcher(datasets, palette, chosen))


def _get_palette(dataset: Any) -> Pixels | None:
    if dataset.colorinterp[0].name != "palette":
        return None
    table = np.zeros((256, 3), np.uint8)
    for index, colour in dataset.colormap(1).items():
        table[index] = colour[:3]
    return table


def _find_usual(dataset: Any) -> Bands | None:
    kinds = [interpretation.name for interpretation in dataset.colorinterp]
    transparency = (kinds.index("alpha"),) if "alpha" in kinds else ()
    if {"red", "green", "blue"} <= set(kinds):
        return (kinds.index("red"), kinds.index("green"), kinds.index("blue"), *transparency)
    if "gray" in kinds and len(kinds) == 1 + len(transparency):
        return (kinds.index("gray"), *transparency)
    return guess_usual(len(kinds)) if len(kinds) != 4 else None
