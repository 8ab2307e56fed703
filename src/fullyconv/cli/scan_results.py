"""What `fullyconv scan` does with one image: plan, compute, write, and say what was written."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from fullyconv.cli.engine_options import EngineOptions
from fullyconv.cli.grid_options import GridOptions
from fullyconv.cli.runtime_options import RuntimeOptions
from fullyconv.cli.scan_options import ScanOptions, parse_bands
from fullyconv.cli.scan_progress import show_progress
from fullyconv.detect.from_scan import find_in_scan, keep_detections
from fullyconv.errors import ImageError, OptionError
from fullyconv.images.opening import describe_source
from fullyconv.images.source import SourceSpec
from fullyconv.report.colour import choose_class_colour
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.scan.description import ScanDescription
from fullyconv.scan.driver import ScanOrder, ScanSummary, run_scan
from fullyconv.scan.ledger import Ledger
from fullyconv.scan.multiscales import Channel, ScaleView, write_multiscales
from fullyconv.scan.network import NetworkFile
from fullyconv.scan.planning import ScanTarget, plan_scan
from fullyconv.scan.regions import CellMask
from fullyconv.scan.regions.reading import TISSUE, read_region
from fullyconv.scan.score_store import ScoreStore, report_writing


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one image.

    Attributes:
        image: its path.
        output: the score map's folder.
        shape: of the score map, `(K, Gy, Gx)`.
        summary: how the scan ended.
        boxes: how many were found; None where none were sought.
    """

    image: Path
    output: Path
    shape: tuple[int, int, int]
    summary: ScanSummary
    boxes: int | None

    def summarise(self) -> str:
        """Returns one line about it."""
        outputs, rows, columns = self.shape
        scores = f"{columns}x{rows} windows" + (f", {outputs} scores each" if outputs > 1 else "")
        boxes = "" if self.boxes is None else f"; {self.boxes} boxes"
        done = "" if self.summary.computed else "; nothing was left to do"
        return f"{self.image}: {scores}{boxes}; {self.output}{done}"


@dataclass(frozen=True, slots=True)
class Scanning:
    """What all images of one call have in common.

    Attributes:
        network: which network.
        dense: the network, open.
        options: what to scan and to keep.
        engine: what computes.
        where: which cells are asked for, as it was given.
        overwrite: begin anew.
        retry_failed: run those tiles again that failed.
        log: gets a line of JSON for each tile.
    """

    network: NetworkFile
    dense: DenseModel
    options: ScanOptions
    engine: EngineOptions
    where: str | None = None
    overwrite: bool = False
    retry_failed: bool = False
    log: IO[str] | None = None

    @classmethod
    def prepare(
        cls, model: Path, options: ScanOptions, grid: GridOptions, runtime: RuntimeOptions, engine: EngineOptions
    ) -> Scanning:
        """Returns them, with the network open.

        Raises:
            FullyconvError: the network cannot be read or run as asked.
        """
        import fullyconv

        dense = runtime.place(grid.apply(fullyconv.load(model)))
        if dense.choice is not None:
            print(f"fullyconv: {dense.choice}", file=sys.stderr)
        network = NetworkFile(
            path=str(model.resolve()),
            stride=grid.parse_stride(),
            border=grid.border,
            runtime=None if dense.choice is None else dense.choice.runtime.name,
            precision=runtime.precision,
            device=runtime.device,
            max_error=runtime.max_error,
        )
        return cls(network=network, dense=dense, options=options, engine=engine)

    def with_files(self, *, where: str | None, overwrite: bool, retry_failed: bool) -> Scanning:
        """Returns the same, with what is asked of the files."""
        return replace(self, where=where, overwrite=overwrite, retry_failed=retry_failed)

    def with_log(self, log: IO[str] | None) -> Scanning:
        """Returns the same, with a line of JSON for each tile."""
        return replace(self, log=log)

    def run(self, image: Path, output: Path) -> Written:
        """Scans one image, or goes on with it.

        Raises:
            FullyconvError: the image cannot be read, or the scan not written.
        """
        target = self._choose_target(describe_source(image, bands=parse_bands(self.options.bands)))
        settings = self.options.to_settings(self.engine.threads)
        plan = plan_scan(
            self.network, self.dense, target, settings, model_name=self.network.path, also=self._describe_where()
        )
        order = plan.order(output, overwrite=self.overwrite, retry_failed=self.retry_failed)
        order = replace(order, log=self.log)
        with show_progress(image.name) as progress:
            summary = run_scan(
                order,
                self.engine.choose(self.dense),
                wanted=self._choose_cells(target, plan.description),
                progress=progress,
                finish=lambda store, ledger: self._finish(order, store, ledger),
            )
        return Written(image, output, order.layout.shape, summary, _count_boxes(order))

    def _choose_target(self, image: SourceSpec) -> ScanTarget:
        if self.options.mpp is None:
            return ScanTarget(image, self.options.level or 0, image)
        return ScanTarget(scale_to_mpp(image, self.options.mpp), 0, image)

    def _choose_cells(self, target: ScanTarget, description: ScanDescription) -> CellMask | None:
        if self.where is None:
            return None
        source = target.full.open()
        try:
            return read_region(self.where, source, description.placement, name=target.full.name)
        finally:
            source.close()

    def _describe_where(self) -> dict[str, str]:
        """Returns what the cells that are asked for depend on: a file's content, not where it lies."""
        if self.where is None or self.where == TISSUE:
            return {"where": self.where or "everywhere"}
        if not Path(self.where).is_file():  # reading it says why not
            return {"where": self.where}
        return {"where": hashlib.sha256(Path(self.where).read_bytes()).hexdigest()[:16]}

    def _finish(self, order: ScanOrder, store: ScoreStore, ledger: Ledger) -> None:
        with report_writing(store.path):
            write_multiscales(store.group, _describe_view(store.description))
        if order.seeking is not None:
            options = self.options
            found = find_in_scan(
                store,
                ledger,
                order.job.plan,
                order.seeking,
                nms_iou=options.nms,
                nms_across_classes=options.nms_across_classes,
            )
            keep_detections(ledger, found)


def _describe_view(description: ScanDescription) -> ScaleView:
    background = description.card.background
    channels = tuple(
        Channel(label, choose_class_colour(number), is_shown=label != background)
        for number, label in enumerate(description.outputs)
    )
    return ScaleView(
        name=Path(description.image.name).name,
        placement=description.placement,
        channels=channels,
        microns_per_pixel=description.image.microns_per_pixel,
        limits=None if description.card.activation == "none" else (0.0, 1.0),
    )


def scale_to_mpp(image: SourceSpec, microns_per_pixel: float) -> SourceSpec:
    """Returns the image at so many microns per pixel.

    Raises:
        ImageError: it does not say how many it has.
    """
    from fullyconv.images.scaled_source import ScaledSpec

    source = image.open()
    try:
        own, (height, width) = source.microns_per_pixel, source.levels[0].size
    finally:
        source.close()
    if own is None:
        raise ImageError(f"{image.name}: --mpp: the image does not say how many microns a pixel is; use --level")
    size = round(height * own[0] / microns_per_pixel), round(width * own[1] / microns_per_pixel)
    return ScaledSpec(image, (max(1, size[0]), max(1, size[1])))


def choose_outputs(images: Sequence[Path], output: Path) -> tuple[Path, ...]:
    """Returns the score map of each image: `output` of one; of several, a folder's NAME.zarr.

    Raises:
        OptionError: there is no image; two would have the same name.
    """
    if not images:
        raise OptionError("expected an image to scan, got none; give one after the network")
    if len(images) == 1:
        return (output,)
    outputs = tuple(output / f"{image.stem}.zarr" for image in images)
    if len({each.name.casefold() for each in outputs}) < len(outputs):
        raise OptionError("expected images of different names, got some that agree; scan those one by one")
    return outputs


def _count_boxes(order: ScanOrder) -> int | None:
    if order.seeking is None:
        return None
    with Ledger.read(order.output.with_suffix(".sqlite")) as ledger:
        return len(ledger.list_detections())
