"""How large a TIFF file's pixels are, in micrometres, where it says so."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tifffile import TiffFile, TiffPage

from fullyconv.images.source import PerPixel

_MICRONS = {"m": 1e6, "cm": 1e4, "mm": 1e3, "µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "pm": 1e-6}
# Above ten micrometres no slide is scanned, and 72 to 2400 dots an inch, which editors and cameras write without
# having measured anything, are 353 to 10.6 micrometres: those are no physical size of what the picture shows.
_LARGEST_MICRONS = 10.0
# ResolutionUnit: inch and centimetre, in micrometres.
_UNITS = {2: 25400.0, 3: 10000.0}


def read_scale(file: TiffFile, page: TiffPage) -> PerPixel | None:
    """Returns the micrometres per pixel `(y, x)`, from the first of these that says it; None where none does.

    - OME: PhysicalSizeX and PhysicalSizeY with their units.
    - Aperio: "MPP = 0.25" in the description.
    - The resolution tags, as in NDPI, if they come to less than ten micrometres: what editors and cameras write
      there, such as 72 or 300 dots an inch, says nothing about the object.
    """
    if file.is_ome and file.ome_metadata:
        found = _read_ome(file.ome_metadata)
        if found is not None:
            return found
    aperio = re.search(r"\bMPP\s*=\s*([0-9.]+)", page.description or "")
    if aperio is not None and _is_number(aperio[1]):
        return float(aperio[1]), float(aperio[1])
    return _read_resolution(page)


def _read_ome(text: str) -> PerPixel | None:
    try:
        pixels = ElementTree.fromstring(text).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return None
    if pixels is None:
        return None
    sizes = [_read_length(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit")) for axis in "YX"]
    return (sizes[0], sizes[1]) if sizes[0] and sizes[1] else None


def _read_length(value: str | None, unit: str | None) -> float | None:
    scale = _MICRONS.get(unit or "µm")
    return float(value) * scale if scale is not None and value is not None and _is_number(value) else None


def _read_resolution(page: TiffPage) -> PerPixel | None:
    unit = _UNITS.get(int(page.resolutionunit))
    across, down = page.resolution
    if unit is None or min(across, down) <= 0:
        return None
    scale = unit / down, unit / across
    return scale if max(scale) < _LARGEST_MICRONS else None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?", text) is not None
