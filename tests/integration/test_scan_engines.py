"""The same scan in one process, in several, and on a Dask cluster; workers that die, and a tile that kills them."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import dask
import distributed
import pytest
import torch
from torch import nn

import fullyconv
from deadly import DeadlySpec
from fullyconv import DenseModel
from fullyconv.errors import OptionError
from fullyconv.images.array_source import ArraySpec
from fullyconv.scan.driver import ScanOrder, run_scan
from fullyconv.scan.engines import Cluster, Engine, InProcess, Processes, TileOutcome
from fullyconv.scan.job import ScanJob, TileWork
from fullyconv.scan.network import NetworkFile
from scans import Trial, list_files, make_image

WORKERS = 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    network = nn.Sequential(nn.Conv2d(3, 6, 5, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 14 * 14, 2))
    path = tmp_path_factory.mktemp("model") / "dense.pt2"
    fullyconv.convert(network.eval(), window=(16, 16)).save(path)
    return path


@pytest.fixture(scope="module")
def dense(model: Path) -> DenseModel:
    return fullyconv.load(model)


@pytest.fixture
def trial(model: Path, dense: DenseModel, tmp_path: Path) -> Trial:
    return Trial(dense, make_image((60, 80)), tmp_path / "out.zarr", (9, 11), threshold=-10.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.LocalCluster]:
    # One worker less for each tile that kills: a new one takes seconds.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
    ):
        yield cluster


@pytest.fixture(params=["processes", "cluster"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "processes":
        return Processes(WORKERS)
    return Cluster(request.getfixturevalue("cluster").scheduler_address)


def make_order(trial: Trial, model: Path, image: object = None) -> ScanOrder:
    order = trial.order()
    job = replace(order.job, network=NetworkFile(str(model)), image=image or order.job.image)
    return replace(order, job=job)


def test_every_engine_writes_the_same_bytes(trial: Trial, model: Path, engine: Engine, tmp_path: Path) -> None:
    order = make_order(trial, model)
    assert run_scan(order, engine).failures == {}
    here = replace(order, output=tmp_path / "here.zarr")
    run_scan(here, InProcess(trial.dense))
    assert list_files(order.output) == list_files(here.output)


def test_a_worker_that_is_killed_is_replaced_and_its_tile_run_again(
    trial: Trial, model: Path, engine: Engine, tmp_path: Path
) -> None:
    order = make_order(trial, model, DeadlySpec(ArraySpec(trial.image), (30, 40), tmp_path / "killed"))
    assert run_scan(order, engine).failures == {}
    assert (tmp_path / "killed").exists()
    here = replace(make_order(trial, model), output=tmp_path / "here.zarr")
    run_scan(here, InProcess(trial.dense))
    assert list_files(order.output) == list_files(here.output)


def test_a_tile_that_kills_workers_is_named_and_all_others_are_done(trial: Trial, model: Path, engine: Engine) -> None:
    order = make_order(trial, model, DeadlySpec(ArraySpec(trial.image), (0, 0)))
    summary = run_scan(order, engine)
    assert list(summary.failures) == [0]
    assert "tile 0 (x 0 to 27, y 0 to 25): the worker died each time it ran this tile" in summary.failures[0]
    tile = order.job.plan[0]
    whole = trial.dense(fullyconv.prepare(trial.image, trial.dense.card)[None])[0]
    got = trial.read()
    missing = got[:, slice(*tile.rows), slice(*tile.columns)]
    assert (missing != missing).all()
    whole[:, slice(*tile.rows), slice(*tile.columns)] = float("nan")
    torch.testing.assert_close(torch.from_numpy(got), torch.from_numpy(whole), equal_nan=True, rtol=1e-5, atol=1e-5)


@dataclass(frozen=True)
class Killing:
    """A cluster, one of whose workers is killed from outside after the second tile."""

    cluster: Cluster

    def run(self, job: ScanJob, works: Iterable[TileWork]) -> Generator[TileOutcome]:
        for count, outcome in enumerate(self.cluster.run(job, works)):
            if count == 1:
                with distributed.Client(self.cluster.address, set_as_default=False) as client:
                    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            yield outcome


def test_a_dask_worker_killed_from_outside(
    trial: Trial, model: Path, cluster: distributed.LocalCluster, tmp_path: Path
) -> None:
    order = make_order(replace(trial, tile_cells=(4, 4)), model)
    assert run_scan(order, Killing(Cluster(cluster.scheduler_address))).failures == {}
    here = replace(order, output=tmp_path / "here.zarr")
    run_scan(here, InProcess(trial.dense))
    assert list_files(order.output) == list_files(here.output)


def test_no_scheduler(trial: Trial, model: Path) -> None:
    order = make_order(trial, model)
    with pytest.raises(OptionError, match="expected a Dask scheduler, and none answers"):
        run_scan(order, Cluster("tcp://127.0.0.1:9", seconds=1))
    with pytest.raises(OptionError, match="expected a Dask scheduler, and none answers"):
        run_scan(order, Cluster("nonsense://x"))


def test_a_scheduler_without_workers(trial: Trial, model: Path) -> None:
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(OptionError, match="the scheduler has no workers; start some and try again"),
    ):
        run_scan(make_order(trial, model), Cluster(empty.scheduler_address, seconds=1))
