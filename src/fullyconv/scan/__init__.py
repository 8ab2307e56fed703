"""Score maps of images of any size, tile by tile, in a bounded memory."""

from fullyconv.scan.memory import DEFAULT_MEMORY_BYTES, largest_tile_px, measure_bytes_per_pixel
from fullyconv.scan.outputs import choose_classes, name_scores
from fullyconv.scan.peaks import find_peaks
from fullyconv.scan.score_map import Progress, ScoreMap, scan
from fullyconv.scan.scorer import DenseScorer, select_output
from fullyconv.scan.tiles import Tile, TilePlan, plan_tiles

__all__ = [
    "DEFAULT_MEMORY_BYTES",
    "DenseScorer",
    "Progress",
    "ScoreMap",
    "Tile",
    "TilePlan",
    "choose_classes",
    "find_peaks",
    "largest_tile_px",
    "measure_bytes_per_pixel",
    "name_scores",
    "plan_tiles",
    "scan",
    "select_output",
]
