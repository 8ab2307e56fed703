"""Which cells of a score map are wanted: a mask image, polygons, or the tissue of a slide."""

from fullyconv.scan.regions.cell_mask import CellMask, Wanted
from fullyconv.scan.regions.pieces import Piece, PieceCost, split_wanted
from fullyconv.scan.regions.pixels import PixelMask
from fullyconv.scan.regions.polygons import PolygonMask
from fullyconv.scan.regions.reading import read_region

__all__ = ["CellMask", "Piece", "PieceCost", "PixelMask", "PolygonMask", "Wanted", "read_region", "split_wanted"]
