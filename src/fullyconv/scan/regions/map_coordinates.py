"""From map coordinates to pixels of level 0, for regions that name their coordinate system."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from fullyconv.errors import OptionError, require_extra
from fullyconv.images.source import Georeference

# A straight edge of one map is curved on another. Cut into 64, its deviation from the chord falls to 1/4096.
_CUTS = 64


def locate_area(area: Any, crs: str, georeference: Georeference, name: str) -> Any:
    """Returns the area in pixels of level 0, x to the right and y down.

    Args:
        area: a shapely geometry in map coordinates: easting before northing, longitude before latitude.
        crs: their coordinate system, in any form that GDAL understands.
        georeference: where the image lies.
        name: what people call the region.

    Raises:
        OptionError: the coordinate system is not known, or cannot be brought to the image's.
        MissingExtraError: rasterio is not installed.
    """
    known = _parse(crs, name)
    left, bottom, right, top = area.bounds
    fine = shapely.segmentize(area, max(right - left, top - bottom) / _CUTS)

    def locate(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return find_pixels(georeference, _project(xy, known, georeference.crs_wkt, name=name))

    return shapely.make_valid(shapely.transform(fine, locate))


def find_pixels(georeference: Georeference, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the positions `(n, 2)`, x before y in pixels of level 0, of points `(n, 2)` of the image's own map."""
    a, b, c, d, e, f = georeference.transform
    return np.asarray(np.linalg.solve([[a, b], [d, e]], (xy - (c, f)).T).T)


def _project(xy: NDArray[np.float64], start: Any, goal: str, *, name: str) -> NDArray[np.float64]:
    warp, own = require_extra("rasterio.warp", "geo"), require_extra("rasterio._err", "geo")
    try:
        found = np.stack(warp.transform(start, goal, xy[:, 0], xy[:, 1]), axis=1)
    except own.CPLE_BaseError as error:  # what PROJ refuses comes as classes that rasterio keeps to itself
        reason = str(error)
    else:
        if np.isfinite(found).all():
            return found
        reason = "it is infinitely far"
    raise OptionError(
        f"{name}: expected a region that the image's coordinate system can show, got one that it cannot ({reason})"
    )


def _parse(crs: str, name: str) -> Any:
    system, errors = require_extra("rasterio.crs", "geo"), require_extra("rasterio.errors", "geo")
    try:
        return system.CRS.from_user_input(crs)
    except (errors.CRSError, ValueError):
        raise OptionError(
            f"{name}: the coordinate system {crs!r} is not known; name one such as urn:ogc:def:crs:EPSG::4326"
        ) from None
