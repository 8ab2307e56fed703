"""Folders of zarr as images: OME-Zarr (NGFF 0.4 and 0.5) with its levels, and plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from fullyconv.errors import FullyconvError, ImageError
from fullyconv.grid import Pair
from fullyconv.images.array_source import arrange
from fullyconv.images.file_spec import FileSpec
from fullyconv.images.identity import identify_folder
from fullyconv.images.listing import is_zarr
from fullyconv.images.region_source import RegionSource, explain
from fullyconv.images.source import PerPixel, Pixels
from fullyconv.images.stored import Bands, Stored, choose_bands, guess_usual, measure_levels
from fullyconv.images.zarr_axes import Axes, find_axes, guess_names, read_microns


@dataclass(frozen=True, slots=True)
class ZarrSpec(FileSpec):
    """A folder of zarr as an image.

    - A group is an OME-Zarr image: its multiscales are the levels, its axes are known by name. An axis that is
      neither y, x nor c has one element.
    - An array has its dimensions' names, or is `(y, x)` or `(y, x, c)`.
    - A chunk that is not there is filled with the array's fill value: so zarr stores what is empty.
    - A damaged chunk is an error of the regions that touch it, if its codecs notice; they do with a checksum.
    """

    def open(self) -> RegionSource:
        """Opens the folder.

        Raises:
            ImageError: the folder is missing, holds no image, or a stack of them; or its metadata are damaged.
        """
        if not is_zarr(self.path):
            raise ImageError(f"{self.path}: expected a folder of zarr, got none")
        try:
            return _open(self.name, zarr.open(self.path, mode="r"), self.bands)
        except FullyconvError:
            raise
        except Exception as error:  # whatever damaged metadata bring about
            raise ImageError(f"{self.path}: the zarr folder cannot be read: {explain(error)}") from None

    def identify(self) -> str:
        """Returns a text that is another one if files of the folder are replaced.

        Raises:
            ImageError: the folder is missing.
        """
        return identify_folder(self.path)


class ZarrFetcher:
    """Fetches regions from open arrays, one for each level."""

    def __init__(self, arrays: tuple[zarr.Array[Any], ...], axes: Axes, bands: Bands) -> None:
        self._arrays, self._axes, self._bands = arrays, axes, bands

    def fetch(self, level: int, origin_yx: Pair, size: Pair) -> Pixels:
        """Returns the chosen bands of a region."""
        first = min(self._bands)
        index = self._axes.index(origin_yx, size, channels=slice(first, max(self._bands) + 1))
        pixels = np.asarray(self._arrays[level][index])
        return arrange(pixels.transpose(self._axes.order()), tuple(band - first for band in self._bands))

    def close(self) -> None:
        """Does nothing: zarr keeps no file open."""


def _open(name: str, node: zarr.Array[Any] | zarr.Group, bands: Bands | None) -> RegionSource:
    if isinstance(node, zarr.Array):
        names = getattr(node.metadata, "dimension_names", None) or guess_names(node.shape)
        return _describe(name, (node,), find_axes(name, names, node.shape), bands, None)
    multiscale = _get_multiscale(name, node)
    arrays = tuple(_get_array(name, node, dataset["path"]) for dataset in multiscale["datasets"])
    names = [axis["name"] if isinstance(axis, Mapping) else axis for axis in multiscale.get("axes", ())]
    axes = find_axes(name, names, arrays[0].shape)
    _check_alike(name, arrays, axes)
    return _describe(name, arrays, axes, bands, read_microns(multiscale, axes))


def _describe(
    name: str, arrays: tuple[zarr.Array[Any], ...], axes: Axes, bands: Bands | None, microns: PerPixel | None
) -> RegionSource:
    first = arrays[0]
    count = 1 if axes.channel is None else int(first.shape[axes.channel])
    values = np.dtype(np.uint8) if first.dtype.kind == "b" else first.dtype.newbyteorder("=")
    sizes = [(int(array.shape[axes.y]), int(array.shape[axes.x])) for array in arrays]
    stored = Stored(measure_levels(sizes), values, count, guess_usual(count), microns)
    chosen = choose_bands(name, stored, bands)
    return RegionSource(name, stored, chosen, ZarrFetcher(arrays, axes, chosen))


def _get_multiscale(name: str, group: zarr.Group) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = group.attrs.asdict()
    ome = attributes.get("ome", attributes)
    multiscales = ome.get("multiscales")
    if multiscales:
        found: Mapping[str, Any] = multiscales[0]
        return found
    inner = ", ".join(sorted(group.keys())[:5]) or "nothing"
    raise ImageError(f"{name}: expected an OME-Zarr image (multiscales), got a group of {inner}; name what is in it")


def _check_alike(name: str, arrays: tuple[zarr.Array[Any], ...], axes: Axes) -> None:
    kinds = [(array.dtype, 1 if axes.channel is None else array.shape[axes.channel]) for array in arrays]
    if len(set(kinds)) > 1:
        found = ", ".join(f"{dtype} and {count} channels" for dtype, count in dict.fromkeys(kinds))
        raise ImageError(f"{name}: expected levels alike, got {found}; write the image again")


def _get_array(name: str, group: zarr.Group, path: str) -> zarr.Array[Any]:
    array = group[path]
    if not isinstance(array, zarr.Array):
        raise ImageError(f"{name}: expected an array at {path!r}, got a group; the multiscales name arrays")
    return array
