"""A score map as a GeoTIFF that is made for the cloud (COG), in the place where its image lies.

A cell becomes a pixel of one stride, its centre on its window's centre; NaN is "no data"; each score is a band, named
after its class. The file is tiled and has overviews, which are means: far out a single hot cell fades.

An image without a georeference gives a file without a coordinate system, whose transform leads to pixels of the
image's level 0, y downwards: what GDAL takes an image without one to have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fullyconv.atomic import write_whole
from fullyconv.errors import OptionError, OutputError, require_extra
from fullyconv.export.scores import ScoreReader
from fullyconv.grid import Pair
from fullyconv.images.source import Georeference
from fullyconv.scan.placement import Placement
from fullyconv.scan.tiles import Span

Affine6 = tuple[float, float, float, float, float, float]

# GDAL holds and packs blocks of all bands: few bands have blocks of 512x512, from 33 on they are 128x128.
_BLOCK_VALUES = 2**21
_BLOCK_SIDES = (512, 256, 128)

# About so many scores are read at once: 64 MiB of float32.
_READ_VALUES = 2**24


@dataclass(frozen=True, slots=True)
class RasterFacts:
    """What a raster of scores is of.

    Attributes:
        placement: where its cells lie.
        bands: the name of each score.
        georeference: of the image's level 0; None where it has none.
        tags: what else is to be noted in the file, name by name.
    """

    placement: Placement
    bands: tuple[str, ...]
    georeference: Georeference | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def write_geotiff(path: Path, scores: ScoreReader, facts: RasterFacts) -> None:
    """Writes a score map as a cloud-optimised GeoTIFF; it appears whole or not at all.

    Beside it a second file of its size lies while it is written. It takes memory for a row of blocks.

    Raises:
        MissingExtraError: rasterio is not installed.
        OptionError: there are not as many names as scores.
        OutputError: it cannot be written.
    """
    rasterio, copying = require_extra("rasterio", "geo"), require_extra("rasterio.shutil", "geo")
    if len(facts.bands) != scores.shape[0]:
        raise OptionError(f"expected a name for each of {scores.shape[0]} bands, got {len(facts.bands)}")
    errors, own = require_extra("rasterio.errors", "geo"), require_extra("rasterio._err", "geo")
    block = _choose_block(scores.shape[0])
    with write_whole(path) as part:
        plain = part.with_suffix(".plain.tif")
        try:
            # GDAL would hold a share of the machine's memory, in MB.
            with rasterio.Env(GDAL_CACHEMAX=128):
                _write_plain(plain, scores, facts, block)
                copying.copy(str(plain), str(part), driver="COG", **_cog_options(block))
        except (errors.RasterioError, errors.CRSError, own.CPLE_BaseError) as error:
            raise OutputError(f"{path}: cannot be written ({error}); choose another place with -o") from error
        finally:
            plain.unlink(missing_ok=True)


def place_cells(placement: Placement, georeference: Georeference | None) -> Affine6:
    """Returns the affine `(a, b, c, d, e, f)` from a cell's corner `(column, row)` to the map, or to pixels of level 0.

    >>> from fullyconv.grid import Grid
    >>> placement = Placement(Grid((64, 64), (32, 32), (2, 2)), (512, 512))
    >>> place_cells(placement, None)  # the centre of cell (0, 0), at 0.5, is that of the first window, at 32
    (32.0, 0.0, 16.0, 0.0, 32.0, 16.0)
    """
    step_y, step_x = placement.step_px
    x, y = placement.first_centre_px[1] - step_x / 2, placement.first_centre_px[0] - step_y / 2
    if georeference is None:
        return step_x, 0.0, x, 0.0, step_y, y
    a, b, c, d, e, f = georeference.transform
    return a * step_x, b * step_y, a * x + b * y + c, d * step_x, e * step_y, d * x + e * y + f


def _write_plain(path: Path, scores: ScoreReader, facts: RasterFacts, block: int) -> None:
    """Writes a plain tiled GeoTIFF, row of blocks by row of blocks: a COG cannot be written otherwise than copied."""
    rasterio = require_extra("rasterio", "geo")
    windows = require_extra("rasterio.windows", "geo")
    outputs, height, width = scores.shape
    profile = {
        "driver": "GTiff", "count": outputs, "height": height, "width": width, "dtype": str(scores.dtype),
        "nodata": float("nan"), "tiled": True, "blockxsize": block, "blockysize": block, "BIGTIFF": "IF_SAFER",
        "interleave": "band", "transform": rasterio.Affine(*place_cells(facts.placement, facts.georeference)),
        "crs": None if facts.georeference is None else facts.georeference.crs_wkt,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        raster.descriptions = facts.bands
        raster.update_tags(**facts.tags)
        for rows, columns in _cut(scores.shape, block):
            values = scores.read(rows, columns)
            raster.write(values, window=windows.Window.from_slices(rows, columns))
        # Here, where each band lies by itself: in the COG every band's overview would unpack all bands again.
        raster.build_overviews(_plan_overviews((height, width), block), rasterio.enums.Resampling.average)


def _cut(shape: Sequence[int], block: int) -> Iterator[tuple[Span, Span]]:
    """Yields spans of whole blocks, of at most `_READ_VALUES` scores, or of one block."""
    outputs, height, width = shape
    across = max(1, _READ_VALUES // (outputs * block * block)) * block
    for i in range(0, height, block):
        for j in range(0, width, across):
            yield (i, min(i + block, height)), (j, min(j + across, width))


def _choose_block(outputs: int) -> int:
    return next((side for side in _BLOCK_SIDES if side * side * outputs <= _BLOCK_VALUES), _BLOCK_SIDES[-1])


def _plan_overviews(shape: Pair, block: int) -> list[int]:
    """Returns how many times smaller the overviews are: the last one is a single block.

    >>> _plan_overviews((300, 400), 128), _plan_overviews((100, 128), 128)
    ([2, 4], [])
    """
    halvings = (-(-max(shape) // block) - 1).bit_length()
    return [2**level for level in range(1, halvings + 1)]


def _cog_options(block: int) -> dict[str, Any]:
    return {
        "BLOCKSIZE": block,
        "COMPRESS": "DEFLATE",
        "PREDICTOR": "YES",
        "BIGTIFF": "IF_SAFER",
        "OVERVIEWS": "FORCE_USE_EXISTING",
    }
