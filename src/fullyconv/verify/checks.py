"""One sample at a time: the converted network beside the references."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from fullyconv.grid import Pair
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.verify.answer import Answer
from fullyconv.verify.bench import Bench, explain
from fullyconv.verify.comparison import Guarantee, Pairing
from fullyconv.verify.conditioning import measure_conditioning
from fullyconv.verify.duplicate import copy_network
from fullyconv.verify.fidelity import Fidelity, Measured, Scene, Yardstick, measure_fidelity
from fullyconv.verify.first_order import Sums, answer_first_order
from fullyconv.verify.halves import Halves
from fullyconv.verify.outputs import Cell, drop_ones, pick_cells
from fullyconv.verify.references import answer_crops, answer_patches, pad_to_strides
from fullyconv.verify.samples import Sample
from fullyconv.verify.splits import MapAxes
from fullyconv.verify.subject import run_dense
from fullyconv.verify.verdict import is_near


@dataclass(slots=True)
class Findings:
    """What has been found so far in one number type.

    Attributes:
        pairings: what to compare.
        fidelity: distances.
        notes: what could not be checked.
        rounds_within: whether the original makes coarser numbers within its forward.
        unrest: how far references move with their pixels' rounding, by the keys of pairings that are far apart.
    """

    pairings: list[Pairing] = field(default_factory=list)
    fidelity: list[Fidelity] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rounds_within: bool = False
    unrest: dict[tuple[str, ...], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """The converted network's outputs for one sample: values of the chosen windows, or why there are none."""

    sample: Sample
    cells: tuple[Cell, ...]
    dense: Mapping[str, Measured]
    faults: Mapping[str, str]
    failure: str = ""

    def select(self, places: tuple[int, ...]) -> _Run:
        """Returns the same for some of the windows."""
        if places == tuple(range(len(self.cells))):
            return self
        some = list(places)
        dense = {
            name: Measured(values.scores[some], None if values.logits is None else values.logits[some])
            for name, values in self.dense.items()
        }
        return replace(self, cells=tuple(self.cells[place] for place in places), dense=dense)


# The yardstick for distances from crops is a move by 8 pixels of a window of 224 (DESIGN, section 2).
_MOVED = 8 / 224

# First-order sums take three runs for each window that is compared.
_FEW_WINDOWS = 12


def check_window(bench: Bench, sample: Sample, findings: Findings) -> None:
    """Adds the comparison on images of exactly the window's size, where both networks must always agree.

    With the border where it is used, as it is the same there. An approximation too: each of its statistics is that of
    the nearest window in the image, and there is one only.
    """
    cells = tuple((image, 0, 0) for image in range(len(sample.images)))
    run = _run(bench, sample, cells, bench.as_used)
    answers = bench.original.answer(sample.images)
    pairings = list(_pair("window", run, answers))
    findings.pairings.extend(pairings)
    _measure_unrest(pairings, bench.original.answer, sample.images, findings)
    findings.notes.extend(_compare_activations(run, answers))


def check_sample(bench: Bench, sample: Sample, cells: tuple[Cell, ...], findings: Findings) -> None:
    """Adds the comparisons on one sample with both references."""
    if bench.subject.guarantee == "approximation":
        _check_approximation(bench, sample, cells, findings)
        return
    run = _run(bench, sample, cells)
    as_used = run if bench.as_used is bench.module else _run(bench, sample, cells, bench.as_used)
    if bench.subject.guarantee == "image crops":

        def answer(images: Tensor) -> Mapping[str, Answer]:
            return answer_crops(bench.original, images, bench.subject.grid, cells)

        pairings = list(_pair("image crops", as_used, answer(sample.images)))
        findings.pairings.extend(pairings)
        _measure_unrest(pairings, answer, sample.images, findings)
    elif bench.measures:
        findings.fidelity.extend(_measure(bench, as_used))
    if bench.told:
        rest = "the original makes other maps of them at window size only"
        findings.notes.append(f"feature windows: patches of {', '.join(bench.told)} are compared ({rest})")
    if bench.trunk is not None:
        _check_patches(bench, bench.trunk, run, findings)
        if isinstance(bench.as_used, GridModule) and bench.as_used.program.border == "first-order":
            _check_first_order(bench, bench.trunk, as_used, findings)
    elif bench.fault and bench.subject.guarantee == "feature windows":
        findings.pairings.append(_fail(run, bench.fault))
    elif bench.why_uncut:
        findings.notes.append(f"feature windows: checked at window size only ({bench.why_uncut})")


def _check_approximation(bench: Bench, sample: Sample, cells: tuple[Cell, ...], findings: Findings) -> None:
    """Adds how far an approximation is from crops and from the network without it; there is nothing to equal."""
    run = _run(bench, sample, cells, bench.as_used)
    failure = _find_failure(run)
    if failure:
        findings.pairings.append(_fail(run, failure))
        return
    if not bench.measures:
        return
    findings.fidelity.extend(_measure(bench, run))
    assert bench.subject.exact is not None  # describe makes it for every approximation
    exact = _run(bench, sample, cells, copy_network(bench.subject.exact, bench.original.dtype))
    scene = _describe_scene(bench, run)
    for name, values in run.dense.items():
        found = measure_fidelity(name, scene, values, exact.dense[name], reference="the exact network")
        findings.fidelity.append(found)


def _check_patches(bench: Bench, trunk: tuple[Halves, tuple[MapAxes, ...]], run: _Run, findings: Findings) -> None:
    sample, fine = run.sample, bench.subject.fine
    for (top, left), places in fine.list_shifts(run.cells, sample.size_px()):
        images, cells = sample.images[:, :, top:, left:], [fine.find_own(run.cells[place]) for place in places]

        def answer(images: Tensor, cells: Sequence[Cell] = cells) -> Mapping[str, Answer]:
            return answer_patches(trunk, _fit(bench, images), fine.own, cells)

        try:
            answers = answer(images)
        except Exception as error:
            findings.notes.append(f"feature windows, {sample.name}: not checked ({explain(error)})")
            return
        pairings = list(_pair("feature windows", run.select(places), answers))
        findings.pairings.extend(pairings)
        _measure_unrest(pairings, answer, images, findings)


def _measure_unrest(
    pairings: Sequence[Pairing], answer: Callable[[Tensor], Mapping[str, Answer]], images: Tensor, findings: Findings
) -> None:
    """Adds how far float32 references move with the rounding of pixels, where scores are not near enough as it is.

    Once for each kind of pairing: a wrong network is wrong at every shift, and each takes several runs.
    """
    far = [
        pairing
        for pairing in pairings
        if pairing.expected is not None and pairing.expected.dtype == torch.float32 and not is_near(pairing)
    ]
    if any(pairing.key() not in findings.unrest for pairing in far):
        findings.unrest.update(measure_conditioning(answer, images, far))


def _check_first_order(bench: Bench, trunk: tuple[Halves, tuple[MapAxes, ...]], run: _Run, findings: Findings) -> None:
    """Adds the comparison of a few windows with the sums of three answers, each of which is a run of its own."""
    fine = bench.subject.fine
    whole = [cell for cell in run.cells if fine.find_shift(cell) == (0, 0)]
    cells = tuple(whole[:: -(-len(whole) // _FEW_WINDOWS)])
    few = _run(bench, run.sample, cells, bench.as_used)
    failure = _find_failure(few)
    if failure:
        findings.pairings.append(replace(_fail(few, failure), guarantee="first-order sums"))
        return
    sums = Sums({name: dense.logits is not None for name, dense in few.dense.items()}, lambda px: _fit(bench, px))
    try:
        answers = answer_first_order(trunk, run.sample.images, fine.own, [fine.find_own(cell) for cell in cells], sums)
    except Exception as error:
        findings.notes.append(f"first-order sums, {run.sample.name}: not checked ({explain(error)})")
        return
    known = replace(few, dense={name: few.dense[name] for name in answers}, faults={})  # others show no logits
    findings.pairings.extend(_pair("first-order sums", known, answers))


def _fit(bench: Bench, images: Tensor) -> Tensor:
    return pad_to_strides(images, bench.subject.fine.own) if bench.subject.align else images


def _run(bench: Bench, sample: Sample, cells: tuple[Cell, ...], module: nn.Module | None = None) -> _Run:
    try:
        maps = run_dense(module or bench.module, sample.images.to(bench.original.dtype))
    except Exception as error:
        return _Run(sample, cells, {}, {}, f"the converted network fails: {explain(error)}")
    shape = bench.subject.grid.shape(sample.size_px())
    faults = {name: _find_fault(values.scores, len(sample.images), shape) for name, values in maps.items()}
    dense = {
        name: Measured(
            pick_cells(values.scores, cells),
            None if values.logits is None else pick_cells(values.logits, cells),
        )
        for name, values in maps.items()
        if not faults[name]
    }
    return _Run(sample, cells, dense, faults)


def _find_failure(run: _Run) -> str:
    return run.failure or next((fault for fault in run.faults.values() if fault), "")


def _find_fault(score_map: Tensor, images: int, grid_shape: Pair) -> str:
    if score_map.dim() >= 3 and (score_map.shape[0], *score_map.shape[-2:]) == (images, *grid_shape):
        return ""
    return (
        f"expected scores ({images}, ..., {grid_shape[0]}, {grid_shape[1]}), "
        f"the converted network gives {tuple(score_map.shape)}"
    )


def _pair(guarantee: Guarantee, run: _Run, answers: Mapping[str, Answer]) -> Iterator[Pairing]:
    def pairing(name: str, found: Tensor | None, expected: Tensor | None, detail: str = "") -> Pairing:
        return Pairing(guarantee, name, "scores", *facts, found, expected, detail)

    facts = (run.sample.name, run.sample.size_px(), run.cells)
    for name in dict.fromkeys([*answers, *run.dense, *run.faults]):
        answer, dense = answers.get(name), run.dense.get(name)
        if answer is None:
            yield pairing(name, None, None, "the original has no such output")
        elif dense is None:
            missing = "the converted network has no such output"
            yield pairing(name, None, answer.scores, run.failure or run.faults.get(name) or missing)
        else:
            yield pairing(name, dense.scores, answer.scores)
            if dense.logits is not None and answer.logits is not None:
                yield Pairing(guarantee, name, "logits", *facts, dense.logits, answer.logits)


def _fail(run: _Run, why: str) -> Pairing:
    return Pairing(
        "feature windows",
        "all",
        "scores",
        run.sample.name,
        run.sample.size_px(),
        run.cells,
        None,
        None,
        why,
    )


def _measure(bench: Bench, run: _Run) -> Iterator[Fidelity]:
    crops = answer_crops(bench.original, run.sample.images, bench.subject.grid, run.cells)
    yardstick, scene = _make_yardstick(bench, run), _describe_scene(bench, run)
    whole = {name for name, dense in run.dense.items() if not dense.scores.is_floating_point()}
    for name, dense in run.dense.items():
        answer = crops.get(name)
        if name in whole and len(whole) < len(run.dense):  # the number of a class is no distance
            continue
        if answer is not None and drop_ones(answer.scores).shape == drop_ones(dense.scores).shape:
            expected = Measured(answer.scores, answer.logits)
            yield measure_fidelity(name, scene, dense, expected, yardstick=yardstick)


def _make_yardstick(bench: Bench, run: _Run) -> Yardstick | None:
    """Returns what the original gives for crops moved a little; None where the image has no room for that."""
    grid = bench.subject.grid
    if run.sample.size_px() == grid.window_px:
        return None
    moved_px = max(1, round(min(grid.window_px) * _MOVED))
    answers = answer_crops(bench.original, run.sample.images, grid, run.cells, moved_px=moved_px)
    return Yardstick(moved_px, {name: answer.scores for name, answer in answers.items()})


def _describe_scene(bench: Bench, run: _Run) -> Scene:
    return Scene(run.sample.name, run.sample.size_px(), bench.subject.grid, run.cells)


def _compare_activations(run: _Run, answers: Mapping[str, Answer]) -> Iterator[str]:
    for name, dense in run.dense.items():
        answer = answers.get(name)
        if answer is not None and (answer.logits is None) != (dense.logits is None):
            whose = "the converted network" if answer.logits is None else "the original"
            yield f"{name}: only scores are compared; {whose} alone shows logits before a last activation"
