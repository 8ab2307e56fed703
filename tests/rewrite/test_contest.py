"""The fastest runtime: measured among those that give the scores, remembered, and said in one line."""

from __future__ import annotations

import copy
import sys

import pytest
import torch

import fullyconv
from fullyconv.errors import ModelError
from fullyconv.rewrite import contest, placing, tuned_module
from fullyconv.rewrite.fingerprint import make_fingerprint
from fullyconv.rewrite.probe_images import draw_image
from fullyconv.rewrite.tuned_module import TunedModule
from fullyconv.runtime.measuring import measure_error
from fullyconv.runtime.remembered import find_file
from fullyconv.runtime.specification import Runtime
from fullyconv.runtime.work import Work
from onnx_files import between, pooled
from zoo import ZOO, build

SMALL = Work(image_px=(40, 50))


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(contest, "_BUDGET_S", 0.0)


@pytest.fixture
def dense() -> fullyconv.DenseModel:
    return fullyconv.convert(build("plain"), ZOO["plain"].window)


@pytest.fixture
def seconds(monkeypatch):
    """What each runtime is to take, by name; those not named take 9 seconds."""
    wanted: dict[str, float] = {}
    monkeypatch.setattr(
        contest, "time_in_turns", lambda runs, budget_s: {runtime: wanted.get(str(runtime), 9.0) for runtime in runs}
    )
    return wanted


def list_trials(dense: fullyconv.DenseModel) -> dict[str, str]:
    return {str(trial.runtime): trial.problem for trial in dense.choice.trials}


def test_all_that_compute_exactly_are_measured(dense):
    placed = dense.on("auto", work=SMALL)
    assert list_trials(placed) == dict.fromkeys(("torch", "torch-channels-last", "onnxruntime", "openvino"), "")
    assert all(trial.seconds > 0 and trial.error < 1e-5 for trial in placed.choice.trials)
    assert placed.choice.image_px == (64, 64)
    images = torch.randn(1, 1, 45, 60)
    assert measure_error(placed(images), dense(images)) < 1e-5


def test_the_fastest_is_chosen(dense, seconds):
    seconds |= {"torch": 3.0, "onnxruntime": 1.0, "openvino": 2.0}
    placed = dense.on("auto", work=SMALL)
    assert placed.choice.runtime == Runtime("onnxruntime")
    assert str(placed.choice).startswith("runtime: onnxruntime, 1 s for 64x64 against 3 s on torch (3.0 times as fast)")


def test_plain_torch_stays_where_little_is_gained(dense, seconds):
    seconds |= {"torch": 1.0, "openvino": 0.96}
    placed = dense.on("auto", work=SMALL)
    assert (placed.choice.runtime, placed.runner) == (Runtime(), None)


def test_fast_adds_coarser_arithmetic_within_the_bound(dense, seconds):
    seconds |= {"torch": 3.0, "torch-channels-last-bfloat16": 1.0}
    placed = dense.on("auto", precision="fast", max_error=0.1, work=SMALL)
    assert placed.choice.runtime.name == "torch-channels-last-bfloat16"
    assert 1e-5 < placed.choice.error < 0.1
    strict = dense.on("auto", precision="fast", max_error=1e-5, work=SMALL)
    assert strict.choice.runtime == Runtime()
    assert "off, allowed 1e-05" in list_trials(strict)["torch-bfloat16"]
    assert "dropped: torch-bfloat16, torch-channels-last-bfloat16" in str(strict.choice)


def test_a_runtime_that_gives_something_else_is_dropped(dense, seconds, monkeypatch):
    def spoil(module, runtime):
        made = TunedModule(copy.deepcopy(module), runtime)
        with torch.no_grad():
            next(made.network.parameters()).mul_(1.01)
        return made

    monkeypatch.setattr(placing, "TunedModule", spoil)
    seconds |= {"torch": 3.0, "torch-channels-last": 1.0, "openvino": 2.0}
    placed = dense.on("auto", work=SMALL)
    assert placed.choice.runtime.name == "openvino"
    assert "allowed 1e-04" in list_trials(placed)["torch-channels-last"]


def test_a_missing_library_is_named(dense, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    placed = dense.on("auto", work=SMALL)
    assert list_trials(placed)["openvino"].startswith("openvino is not installed")
    assert "dropped: openvino (openvino is not installed" in str(placed.choice)


def test_whatever_fails_is_named(dense, monkeypatch):
    def fail(module, runtime):
        raise RuntimeError("no such kernel\nin this build")

    monkeypatch.setattr(placing, "TunedModule", fail)
    assert list_trials(dense.on("auto", work=SMALL))["torch-channels-last"] == "no such kernel"


def test_where_nothing_runs_is_an_error(dense, seconds, monkeypatch):
    monkeypatch.setattr(contest, "list_candidates", lambda *_, **__: (Runtime(arithmetic="bfloat16"),))
    with pytest.raises(
        ModelError, match=r"runtime auto: nothing on cpu gives this network's scores: torch-bfloat16 \("
    ):
        dense.on("auto", max_error=1e-9, work=SMALL)


def test_it_is_measured_once(dense, seconds):
    seconds |= {"torch": 3.0, "openvino": 1.0}
    first = dense.on("auto", work=SMALL)
    seconds |= {"onnxruntime": 0.5}
    again = dense.on("auto", work=SMALL)
    assert again.choice.runtime == first.choice.runtime
    assert (first.choice.is_remembered, again.choice.is_remembered) == (False, True)
    assert "measured earlier" in str(again.choice)
    # Another size class, another network, another border: only the last costs the same.
    assert not dense.on("auto", work=Work(image_px=(200, 200))).choice.is_remembered
    other = fullyconv.convert(build("plain"), ZOO["plain"].window, stride=(8, 8))
    assert not other.on("auto", work=SMALL).choice.is_remembered
    assert dense.with_border("window").on("auto", work=SMALL).choice.is_remembered


def test_a_broken_memory_is_measured_again(dense, seconds):
    seconds |= {"torch": 3.0, "openvino": 1.0}
    dense.on("auto", work=SMALL)
    find_file().write_text("{")
    assert not dense.on("auto", work=SMALL).choice.is_remembered
    assert dense.on("auto", work=SMALL).choice.is_remembered


def test_a_remembered_runtime_that_no_longer_runs_is_measured_again(dense, seconds, monkeypatch):
    seconds |= {"torch": 3.0, "openvino": 1.0}
    dense.on("auto", work=SMALL)
    monkeypatch.setitem(sys.modules, "openvino", None)
    placed = dense.on("auto", work=SMALL)
    assert (placed.choice.is_remembered, placed.choice.runtime.library) == (False, "torch")


def test_exact_takes_no_coarser_one_whatever_is_remembered(dense, seconds):
    dense.on("auto", work=SMALL)
    text = find_file().read_text()
    chosen = '"runtime": {\n   "library": "torch",\n   "form": "",\n   "arithmetic": ""'
    assert chosen in text
    find_file().write_text(text.replace(chosen, chosen[:-2] + '"bfloat16"', 1))
    assert dense.on("auto", work=SMALL).choice.runtime.is_exact


def test_little_to_do_is_not_worth_measuring(dense):
    placed = dense.on("auto", work=Work((40, 50), 2000))
    assert (placed.runner, placed.choice.trials) == (None, ())
    assert str(placed.choice).startswith("runtime: torch, because all there is to do takes about ")
    assert not find_file().exists()


def test_borders_that_take_more_runs_count_as_more_work(dense, monkeypatch):
    monkeypatch.setattr(contest, "_time", lambda run: 0.01)
    work = Work((40, 50), 100 * 64 * 64)  # a second; all windows at (26/4) * (38/4) times that
    assert dense.on("auto", work=work).choice.trials == ()
    assert dense.with_border("window").choice is None
    padded = fullyconv.convert(build("resnet"), ZOO["resnet"].window)
    assert padded.on("auto", work=work).choice.trials == ()
    assert padded.with_border("window").on("auto", work=work).choice.trials != ()


def test_compiling_is_tried_where_there_is_much_to_do(dense, monkeypatch):
    monkeypatch.setattr(tuned_module, "COMPILER", "eager")
    much = Work((40, 50), 10**14)
    assert "torch-compiled" in list_trials(dense.on("auto", work=much))
    again = dense.on("auto", work=much)
    assert again.choice.is_remembered
    assert "torch-compiled" in list_trials(again)


def test_what_was_measured_without_compiling_is_measured_anew_for_much(dense, monkeypatch):
    monkeypatch.setattr(tuned_module, "COMPILER", "eager")
    assert "torch-compiled" not in list_trials(dense.on("auto", work=SMALL))
    placed = dense.on("auto", work=Work((40, 50), 10**14))
    assert not placed.choice.is_remembered
    assert "torch-compiled" in list_trials(placed)


def test_slow_networks_are_measured_on_smaller_images(dense, monkeypatch):
    monkeypatch.setattr(contest, "_SLOW_S", 0.0)
    placed = dense.on("auto", work=Work((900, 900)))
    assert max(placed.choice.image_px) < 64


def test_networks_of_onnx_are_measured_against_onnxruntime(tmp_path):
    dense = fullyconv.convert(between(tmp_path / "a.onnx", pooled("m"), 6))
    placed = dense.on("auto", work=SMALL)
    assert list_trials(placed) == {"onnxruntime": "", "openvino": ""}


def test_images_are_noise_as_the_card_prepares_it(dense):
    image = draw_image(dense, (30, 41))
    assert (image.shape, image.dtype) == ((1, 1, 30, 41), torch.float32)
    assert image.min() >= 0
    assert image.max() <= 1
    assert len(image.unique()) > 100
    assert draw_image(dense.to(torch.float64), (30, 41)).dtype == torch.float64


def test_fingerprints_tell_networks_apart(dense, tmp_path):
    first = make_fingerprint(dense.module)
    again = fullyconv.convert(build("plain"), ZOO["plain"].window)
    assert make_fingerprint(again.module) == first
    with torch.no_grad():
        next(again.module.parameters()).flatten()[0] += 1e-3
    assert make_fingerprint(again.module) != first
    names = [make_fingerprint(fullyconv.convert(build(name), ZOO[name].window).module) for name in ("vgg", "resnet")]
    assert len({first, *names}) == 3
    files = [between(tmp_path / f"{features}.onnx", pooled("m"), features) for features in (6, 6)]
    onnx_prints = {make_fingerprint(fullyconv.convert(path).module) for path in files}
    assert len(onnx_prints) == 1
