"""What scanning costs: time and memory as images grow, and what it adds to running the network.

    python benchmarks/scan.py area 5000 10000 20000 40000    # each in a process of its own
    python benchmarks/scan.py overhead 6000 --rounds 5       # against the same tiles already in memory, interleaved

Slides are made by `slides.py` beside the results, and kept, since the largest takes a minute.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter, process_time

import torch
from memory import watch_growth
from page import join_cells
from slides import write_slide

import fullyconv
from fullyconv import DenseModel
from fullyconv.allocator import keep_freed_memory
from fullyconv.images.opening import describe_source
from fullyconv.images.source import SourceSpec
from fullyconv.scan.driver import ScanOrder, run_scan
from fullyconv.scan.engines import InProcess
from fullyconv.scan.job import TileWork, read_pieces, score_pieces
from fullyconv.scan.multiscales import Channel, ScaleView, write_multiscales
from fullyconv.scan.network import LoadedNetwork
from fullyconv.scan.planning import ScanPlan, ScanSettings, ScanTarget, plan_scan
from refine import NETWORKS

WINDOW = 64
NANO = 10**9


def main() -> None:
    options = _parse()
    options.folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    torch.manual_seed(0)
    print(f"fullyconv {fullyconv.__version__}, torch {torch.__version__}, {platform.machine()}, seed 0")
    print(f"{torch.get_num_threads()} threads, --memory {options.megabytes} MB")
    if options.what == "area":
        measure_areas(options)
    elif options.what == "one":
        print(json.dumps(measure_one(options, options.sides[0])))
    else:
        measure_overhead(options)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["area", "overhead", "one"])
    parser.add_argument("sides", type=int, nargs="+", help="pixels a side")
    parser.add_argument("--network", choices=NETWORKS, default="resnet")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "fullyconv-slides")
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def make_network(name: str) -> DenseModel:
    module = NETWORKS[name]().eval()
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return fullyconv.convert(module, window=(WINDOW, WINDOW))


def find_slide(options: argparse.Namespace, side: int) -> SourceSpec:
    path = options.folder / f"slide-{side}.tif"
    if not path.exists():
        part = path.with_suffix(".part")
        write_slide(part, side)
        part.rename(path)
    return describe_source(path)


def plan(dense: DenseModel, image: SourceSpec, options: argparse.Namespace) -> ScanPlan:
    settings = ScanSettings(memory_bytes=options.megabytes * 2**20, threshold=0.5)
    return plan_scan(
        LoadedNetwork(dense, "benchmark"), dense, ScanTarget(image, 0, image), settings, model_name="benchmark"
    )


def scan(dense: DenseModel, image: SourceSpec, options: argparse.Namespace, output: Path) -> ScanOrder:
    """Scans with all that the command does: plan, tiles, score map, ledger, coarser levels."""
    order = plan(dense, image, options).order(output, overwrite=output.with_suffix(".sqlite").exists())
    channels = tuple(Channel(label, (255, 255, 255)) for label in order.description.outputs)
    view = ScaleView("benchmark", order.description.placement, channels)
    summary = run_scan(order, InProcess(dense), finish=lambda store, _: write_multiscales(store.group, view))
    assert not summary.failures
    return order


def measure_areas(options: argparse.Namespace) -> None:
    print("| side | windows | tiles | seconds | of processors | nanoseconds of processors a pixel | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for side in options.sides:
        find_slide(options, side)
        arguments = ["one", str(side), "--network", options.network, "--folder", str(options.folder)]
        command = [sys.executable, __file__, *arguments, "--megabytes", str(options.megabytes)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(ended.stdout.splitlines()[-1])
        cost = row["processor_seconds"] * NANO / side**2
        cells = [side, row["windows"], row["tiles"], *(f"{row[name]:.1f}" for name in ("seconds", "processor_seconds"))]
        print(join_cells([*cells, f"{cost:.1f}", row["megabytes"]]), flush=True)


def measure_one(options: argparse.Namespace, side: int) -> dict[str, float]:
    dense = make_network(options.network)
    image = find_slide(options, side)
    dense(torch.rand(1, 3, WINDOW, WINDOW))  # what torch takes for itself when it first runs is the model's
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, watch_growth() as growth:
        start, busy = perf_counter(), process_time()
        order = scan(dense, image, options, Path(folder) / "out.zarr")
        seconds, processor_seconds = perf_counter() - start, process_time() - busy
    rows, columns = order.layout.shape[1:]
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "windows": rows * columns,
        "tiles": len(order.job.plan),
        "megabytes": growth.bytes // 2**20,
    }


def measure_overhead(options: argparse.Namespace) -> None:
    dense = make_network(options.network)
    for side in options.sides:
        image = find_slide(options, side)
        job = plan(dense, image, options).job
        works = [TileWork(number, (tile,)) for number, tile in enumerate(job.plan)]
        with closing(image.open()) as source:
            start = perf_counter()
            pixels = [read_pieces(source, job, work) for work in works]
            reading = perf_counter() - start

        def compute(job=job, works=works, pixels=pixels) -> None:
            for work, images in zip(works, pixels, strict=True):
                score_pieces(dense, job, work, images)

        def scan_all(image=image) -> None:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                scan(dense, image, options, Path(folder) / "out.zarr")

        times = list(interleave({"tiles in memory": compute, "scan": scan_all}, options.rounds))
        report_overhead(side, len(works), reading, times)


def interleave(runs: dict[str, Callable[[], None]], rounds: int) -> Iterator[dict[str, float]]:
    """Yields the seconds of each run, round by round; the first round, which warms up, is left out."""
    for number in range(rounds + 1):
        seconds = {}
        for name, run in runs.items():
            start = perf_counter()
            run()
            seconds[name] = perf_counter() - start
        if number:
            yield seconds


def report_overhead(side: int, tiles: int, reading: float, times: list[dict[str, float]]) -> None:
    ratios = [each["scan"] / each["tiles in memory"] for each in times]
    in_memory, scanned = (statistics.median(each[name] for each in times) for name in ("tiles in memory", "scan"))
    print(
        f"{side} a side, {tiles} tiles: tiles in memory {in_memory:.2f} s, scan {scanned:.2f} s; "
        f"ratio {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}); reading alone, on one core, {reading:.2f} s"
    )


if __name__ == "__main__":
    main()
