"""Polygons from a GeoJSON file: RFC 7946's geometries, and the `crs` member of its predecessor of 2008.

Coordinates are pixels of level 0, x to the right and y down, from the image's top-left corner: what QuPath writes. RFC
7946 itself would have them be longitude and latitude, but the files that people draw regions with do not mean that.
Map coordinates are taken where the file says which: by a `crs` member, as GDAL and QGIS write it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from fullyconv.errors import OptionError

_AREAS = ("Polygon", "MultiPolygon")
_OTHERS = ("Point", "MultiPoint", "LineString", "MultiLineString")


@dataclass(frozen=True, slots=True, eq=False)
class Areas:
    """What a GeoJSON file encloses.

    Attributes:
        area: the union of its polygons, a shapely geometry.
        crs: the coordinate system that it names, such as `urn:ogc:def:crs:EPSG::32632`; None for pixels.
    """

    area: Any
    crs: str | None


def read_areas(path: Path) -> Areas:
    """Returns the union of all polygons of a GeoJSON file, holes left out.

    Geometries, Features, collections of either and, as older QuPath wrote them, lists of Features. Points and lines
    enclose nothing; an outline that crosses itself encloses what it winds around an odd number of times.

    Raises:
        OptionError: the file is missing, no GeoJSON, or has no polygon.
    """
    content = _read_json(path)
    try:
        areas = [shapely.make_valid(_build(each)) for each in _find_geometries(content)]
        crs = _read_crs(content)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, shapely.errors.ShapelyError) as error:
        raise OptionError(f"{path}: not GeoJSON that can be read: {_explain(error)}") from None
    area = shapely.union_all(areas)
    if not area.area > 0:
        raise OptionError(f"{path}: expected GeoJSON with at least one polygon, got none; draw the region as an area")
    return Areas(area, crs)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise OptionError(f"{path}: no such file; expected a GeoJSON file with the region") from None
    except OSError as error:
        raise OptionError(f"{path}: the region cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, RecursionError):
        raise OptionError(f"{path}: expected GeoJSON, got a file that is no text of that kind") from None
    except json.JSONDecodeError as error:
        raise OptionError(
            f"{path}: expected GeoJSON, got text that breaks off or goes wrong in line {error.lineno}, "
            f"column {error.colno}: {error.msg}; write the file again"
        ) from None


def _find_geometries(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the areas among all that the value holds."""
    if isinstance(value, list):
        for each in value:
            yield from _find_geometries(each)
        return
    kind = value["type"] if isinstance(value, dict) and "type" in value else None
    if kind in _AREAS:
        yield value
    elif kind in ("FeatureCollection", "GeometryCollection"):
        yield from _find_geometries(list(value["features" if kind == "FeatureCollection" else "geometries"]))
    elif kind == "Feature":
        yield from _find_geometries([] if value["geometry"] is None else [value["geometry"]])
    elif kind not in _OTHERS:
        raise ValueError(f"expected a geometry, a Feature or a collection, got {_abbreviate(value)}")


def _build(geometry: Mapping[str, Any]) -> Any:
    with np.errstate(invalid="ignore"):  # said below, and not by a warning
        area = shapely.geometry.shape(geometry)
    if not np.isfinite(shapely.get_coordinates(area)).all():
        raise ValueError("expected coordinates that are finite numbers")
    return shapely.force_2d(area)


def _read_crs(content: Any) -> str | None:
    crs = content.get("crs") if isinstance(content, dict) else None
    if crs is None:
        return None
    name = crs["properties"].get("name")
    if crs["type"] != "name" or not isinstance(name, str):
        raise ValueError(f"expected a crs with a name, got {_abbreviate(crs)}")
    return name


def _explain(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"there is no {text}" if isinstance(error, KeyError) else text or type(error).__name__


def _abbreviate(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
