"""From what people write after `--where` to the cells that they want."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fullyconv.errors import OptionError
from fullyconv.grid import format_size
from fullyconv.images.opening import describe_source
from fullyconv.images.pillow_source import PillowSpec
from fullyconv.images.source import Source
from fullyconv.scan.placement import Placement
from fullyconv.scan.regions.cell_mask import CellMask
from fullyconv.scan.regions.geojson import Areas, read_areas
from fullyconv.scan.regions.map_coordinates import locate_area
from fullyconv.scan.regions.pixels import PixelMask, read_mask, read_picture_mask
from fullyconv.scan.regions.polygons import PolygonMask
from fullyconv.scan.regions.tissue import find_tissue

TISSUE = "tissue"
GEOJSON_SUFFIXES = (".geojson", ".json")


def read_region(where: str, source: Source, placement: Placement, *, name: str) -> CellMask:
    """Returns which cells are wanted: those whose window's centre lies in the region.

    Args:
        where: `tissue`, a threshold on saturation; the path of a GeoJSON file, in pixels of level 0 unless it names a
            coordinate system; or the path of a mask image of any size, which shows the whole image and is not black
            where cells are wanted.
        source: the image.
        placement: its cells, on the level that is scanned.
        name: what people call the image.

    Raises:
        OptionError: the region is missing, damaged, does not suit the image, or holds no cell.
        ImageError: the mask, or the image, cannot be read.
        MissingExtraError: reading it needs an optional dependency.
    """
    if where == TISSUE:
        mask: CellMask = PixelMask(find_tissue(source, name), placement)
        shown = "its tissue"
    elif Path(where).suffix.lower() in GEOJSON_SUFFIXES:
        area = _place(read_areas(Path(where)), source, where)
        mask, shown = PolygonMask(area, placement), _describe_extent(area)
    else:
        mask, shown = _open_mask(where, source, placement), "what is not black"
    rows, columns = placement.shape
    if not mask.selects_any((0, rows), (0, columns)):
        raise OptionError(
            f"{where}: expected a region with the centre of at least one window of {name}, which is "
            f"{format_size(source.levels[0].size)} pixels, got {shown} without any; draw it in pixels of the full "
            "image, or name the crs of map coordinates in the file"
        )
    return mask


def _open_mask(where: str, source: Source, placement: Placement) -> CellMask:
    spec = describe_source(where)
    if isinstance(spec, PillowSpec):
        return PixelMask(read_picture_mask(spec.path, source.levels[0].size), placement)
    opened = spec.open()
    try:
        return PixelMask(read_mask(opened, where, source.levels[0].size), placement)
    finally:
        opened.close()


def _place(areas: Areas, source: Source, where: str) -> Any:
    """Returns the area in pixels of level 0."""
    if areas.crs is None:
        _check_pixels(areas.area, source, where)
        return areas.area
    if source.georeference is None:
        raise OptionError(
            f"{where}: expected coordinates in pixels, since the image has no georeference, got {areas.crs}; "
            "draw the region on the image, or give a georeferenced one"
        )
    return locate_area(areas.area, areas.crs, source.georeference, where)


def _check_pixels(area: Any, source: Source, where: str) -> None:
    """Checks that coordinates without a `crs` are not those of a map.

    They are taken for such where they leave the image altogether, and, on a georeferenced image, where all could be
    degrees: a region in the top-left 180x90 pixels of a scene is what one can draw, but hardly what was meant.
    """
    left, top, right, bottom = area.bounds
    height, width = source.levels[0].size
    is_outside = right < 0 or bottom < 0 or left > width or top > height
    looks_like_degrees = np.abs([left, right]).max() <= 180 and np.abs([top, bottom]).max() <= 90
    if is_outside or (source.georeference is not None and looks_like_degrees):
        raise OptionError(
            f"{where}: expected coordinates in pixels of the full image, {format_size((height, width))}, got "
            f"{_describe_extent(area)}; if they are those of a map, name its crs in the file"
        )


def _describe_extent(area: Any) -> str:
    left, top, right, bottom = area.bounds
    return f"x from {left:g} to {right:g} and y from {top:g} to {bottom:g}"
