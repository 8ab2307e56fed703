"""Small scans for tests: an image in memory, a network in memory, the whole path to disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fullyconv import DenseModel
from fullyconv.images import prepare
from fullyconv.images.array_source import ArraySpec
from fullyconv.scan.driver import ScanOrder, ScanSummary, run_scan
from fullyconv.scan.engines import Engine, InProcess
from fullyconv.scan.network import LoadedNetwork
from fullyconv.scan.planning import ScanSettings, ScanTarget, plan_scan
from fullyconv.scan.regions import CellMask
from fullyconv.scan.score_store import ScoreStore
from fullyconv.scan.tiles import TilePlan


def make_image(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)


def score_whole(dense: DenseModel, image: np.ndarray) -> np.ndarray:
    return dense(prepare(image, dense.card)[None])[0]


@dataclass(frozen=True)
class Trial:
    """A scan of an image with tiles of a chosen number of cells."""

    dense: DenseModel
    image: np.ndarray
    output: Path
    tile_cells: tuple[int, int] = (5, 7)
    threshold: float | None = None

    def order(self, **options: object) -> ScanOrder:
        spec = ArraySpec(self.image)
        network = LoadedNetwork(self.dense, "trial")
        settings = ScanSettings(threshold=self.threshold)
        plan = plan_scan(network, self.dense, ScanTarget(spec, 0, spec), settings, model_name="trial")
        tiles = TilePlan(
            self.dense.grid, self.image.shape[:2], self.dense.margins_px, self.tile_cells, self.dense.own_stride_px
        )
        plan = replace(
            plan,
            job=replace(plan.job, plan=tiles),
            layout=replace(plan.layout, tile_cells=self.tile_cells),
        )
        return plan.order(self.output, **options)

    def run(self, *, engine: Engine | None = None, wanted: CellMask | None = None, **options: object) -> ScanSummary:
        return run_scan(self.order(**options), engine or InProcess(self.dense), wanted=wanted)

    def read(self) -> np.ndarray:
        store = ScoreStore.open(self.output)
        _, rows, columns = store.shape
        return store.read((0, rows), (0, columns))


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
