import json
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch

from fullyconv import DenseModel
from fullyconv.errors import ImageError, ModelError, OptionError, OutputError
from fullyconv.scan import find_peaks
from fullyconv.scan.candidates import settle_candidates
from fullyconv.scan.driver import name_ledger, run_scan
from fullyconv.scan.engines import InProcess, TileOutcome
from fullyconv.scan.ledger import Ledger
from fullyconv.scan.score_store import ScoreStore
from scans import Trial, list_files, make_image, score_whole

SIZE = (57, 71)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tile_cells", [(1, 1), (5, 7), (100, 100)])
def test_tiled_equals_whole(dense: DenseModel, tmp_path: Path, dtype: torch.dtype, tile_cells: tuple[int, int]) -> None:
    if tile_cells == (1, 1):  # of the finest grids some 500 tiles would be too many
        dense = dense.to(dtype)
        size = tuple(w + 3 * s + 1 for w, s in zip(dense.grid.window_px, dense.grid.stride_px, strict=True))
    else:
        dense, size = dense.to(dtype), SIZE
    trial = Trial(dense, make_image(size), tmp_path / "out.zarr", tile_cells)
    assert trial.run().failures == {}
    expected = score_whole(dense, trial.image)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    got = trial.read()
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@dataclass
class Counting:
    """Notes which tiles were computed, and stops after some, as if the process had been interrupted."""

    dense: DenseModel
    stop_after: int = 10**9
    numbers: list[int] = field(default_factory=list)

    def run(self, job, works) -> Generator[TileOutcome]:
        for outcome in InProcess(self.dense).run(job, works):
            if len(self.numbers) == self.stop_after:
                raise KeyboardInterrupt
            self.numbers.append(outcome.work.number)
            yield outcome


def test_an_interrupted_scan_goes_on_where_it_stopped(dense: DenseModel, tmp_path: Path) -> None:
    whole = Trial(dense, make_image(SIZE), tmp_path / "whole.zarr", (2, 3), threshold=-10.0)
    tiles = whole.run().tiles
    trial = replace(whole, output=tmp_path / "out.zarr")
    first = Counting(dense, stop_after=3)
    with pytest.raises(KeyboardInterrupt):
        trial.run(engine=first)
    rest = Counting(dense)
    summary = trial.run(engine=rest)
    assert sorted(first.numbers + rest.numbers) == list(range(tiles)), "every cell is written exactly once"
    assert (summary.tiles, summary.computed) == (tiles, tiles - 3)
    assert list_files(trial.output) == list_files(whole.output)
    again = Counting(dense)
    assert trial.run(engine=again).computed == 0
    assert again.numbers == []


def test_parts_of_a_write_that_was_cut_short_are_removed(dense_with_margins: DenseModel, tmp_path: Path) -> None:
    trial = Trial(dense_with_margins, make_image(SIZE), tmp_path / "out.zarr")
    with pytest.raises(KeyboardInterrupt):
        trial.run(engine=Counting(dense_with_margins, stop_after=2))
    part = trial.output / "0" / "c" / "0" / "0.1234.partial"
    part.write_bytes(b"half a chunk")
    trial.run()
    assert not part.exists()


def test_candidates_are_the_peaks_of_the_whole_map(dense: DenseModel, tmp_path: Path) -> None:
    trial = Trial(dense, make_image(SIZE), tmp_path / "out.zarr", (1, 2), threshold=-10.0)
    order = trial.order()
    trial.run()
    scores = trial.read()
    store, plan, seeking = ScoreStore.open(trial.output), order.job.plan, order.seeking
    assert seeking is not None
    with Ledger.read(name_ledger(trial.output)) as ledger:
        marked = ledger.list_candidates()
        settled = [
            each
            for number in range(len(plan))
            for each in settle_candidates(ledger.list_candidates(number), plan[number], store, seeking)
        ]
    expected = {(k, tuple(cell)) for k in seeking.outputs for cell in find_peaks(scores[k], -10.0).tolist()}
    assert {(each.output, each.cell) for each in settled} == expected
    assert len(settled) == len(expected)
    assert len(marked) > len(settled), "some that stand out in their tile do not in the whole"
    assert all(each.score == scores[(each.output, *each.cell)] for each in settled)


class Corner:
    """Only the cells of the first rows and columns."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns

    def inside(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        return (np.arange(*rows)[:, None] < self.rows) & (np.arange(*columns)[None] < self.columns)

    def selects_any(self, rows: tuple[int, int], columns: tuple[int, int]) -> bool:
        return bool(self.inside(rows, columns).any())


def test_cells_outside_are_nan_and_cost_nothing(dense: DenseModel, tmp_path: Path) -> None:
    trial = Trial(dense, make_image(SIZE), tmp_path / "out.zarr", (3, 4))
    seen: list[int] = []
    dense.module.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2] * args[0].shape[3]))
    everything = trial.run().tiles
    whole, pixels = trial.read(), sum(seen)
    seen.clear()
    inner = replace(trial, output=tmp_path / "inner.zarr")
    assert inner.run(wanted=Corner(2, 3)).tiles == 1 < everything
    got = inner.read()
    np.testing.assert_allclose(got[:, :2, :3], whole[:, :2, :3], rtol=1e-5, atol=1e-5)
    got[:, :2, :3] = np.nan
    assert np.isnan(got).all()
    assert sum(seen) < pixels
    chunks = [path.relative_to(inner.output / "0" / "c").parts for path in (inner.output / "0" / "c").rglob("*")]
    assert {parts[1:] for parts in chunks if len(parts) == 3} == {("0", "0")}


def test_log_has_a_line_for_each_tile(dense_with_margins: DenseModel, tmp_path: Path) -> None:
    trial = Trial(dense_with_margins, make_image(SIZE), tmp_path / "out.zarr")
    log = StringIO()
    run_scan(replace(trial.order(), log=log), InProcess(dense_with_margins))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["tile"] for line in lines] == list(range(len(trial.order().job.plan)))
    assert {line["state"] for line in lines} == {"done"}
    assert sum((line["rows"][1] - line["rows"][0]) * (line["columns"][1] - line["columns"][0]) for line in lines) == (
        11 * 14
    )


def test_progress_counts_what_earlier_runs_did(dense_with_margins: DenseModel, tmp_path: Path) -> None:
    trial = Trial(dense_with_margins, make_image(SIZE), tmp_path / "out.zarr")
    with pytest.raises(KeyboardInterrupt):
        trial.run(engine=Counting(dense_with_margins, stop_after=2))
    calls: list[tuple[int, int]] = []
    run_scan(trial.order(), InProcess(dense_with_margins), progress=lambda *at: calls.append(at))
    assert calls == sorted(calls)
    assert 0 < calls[0][0] < calls[0][1]
    assert calls[-1][0] == calls[-1][1]


@pytest.mark.parametrize("changed", ["image", "network", "threshold"])
def test_another_scan_on_the_same_output_is_refused(
    dense_with_margins: DenseModel, tmp_path: Path, changed: str
) -> None:
    trial = Trial(dense_with_margins, make_image(SIZE), tmp_path / "out.zarr")
    trial.run()
    before = list_files(trial.output)
    image = trial.image.copy()
    image[3, 3] ^= 255
    others = {
        "image": replace(trial, image=image),
        "network": replace(trial, dense=dense_with_margins.with_border("window")),
        "threshold": replace(trial, threshold=0.25),
    }
    if changed == "network":
        others["network"] = replace(trial, dense=dense_with_margins.refine(2))
        match = r"expected the scan that was begun there, got another: .*grid was"
    else:
        match = rf"expected the scan that was begun there, got another: {changed} was .* and is .*--overwrite"
    with pytest.raises(OptionError, match=match):
        others[changed].run()
    assert list_files(trial.output) == before
    assert others[changed].run(overwrite=True).computed > 0


def test_outputs_that_cannot_be(dense_with_margins: DenseModel, tmp_path: Path) -> None:
    trial = Trial(dense_with_margins, make_image(SIZE), tmp_path / "out.tif")
    with pytest.raises(OptionError, match=r"expected a name that ends in \.zarr for the score map"):
        trial.run()
    folder = tmp_path / "mine.zarr"
    folder.mkdir()
    (folder / "precious").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"got something without a ledger .* beside it"):
            replace(trial, output=folder).run(overwrite=overwrite)
    assert (folder / "precious").read_text() == "mine"
    with Ledger.open(tmp_path / "busy.sqlite"), pytest.raises(OutputError, match="another scan is writing there"):
        replace(trial, output=tmp_path / "busy.zarr").run()


def test_a_score_map_that_was_lost_is_told(dense_with_margins: DenseModel, tmp_path: Path) -> None:
    trial = Trial(dense_with_margins, make_image(SIZE), tmp_path / "out.zarr")
    trial.run()
    (trial.output / "zarr.json").unlink()
    with pytest.raises(ImageError, match="expected a score map that fullyconv scan wrote, got none"):
        trial.run()


def test_a_network_without_numbers_ends_the_scan(dense_with_margins: DenseModel, tmp_path: Path) -> None:
    trial = Trial(dense_with_margins, make_image(SIZE), tmp_path / "out.zarr")
    next(dense_with_margins.module.parameters()).data.fill_(float("nan"))
    with pytest.raises(ModelError, match="expected scores that are numbers, got NaN"):
        trial.run()
