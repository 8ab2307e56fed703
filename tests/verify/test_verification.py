"""Right conversions pass, wrong ones fail; both with networks converted by hand."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fullyconv.errors import OptionError
from fullyconv.verify.report import VerifyReport
from fullyconv.verify.samples import make_random_samples
from fullyconv.verify.verification import VerifySettings, verify_subject


def check(case, module: nn.Module | None = None, model: object = None) -> VerifyReport:
    subject = dataclasses.replace(case.subject, module=module) if module else case.subject
    samples = make_random_samples(subject.grid, 3, seed=0)
    return verify_subject(subject, model or case.model, samples, VerifySettings())


def test_a_right_conversion_passes_in_both_number_types(case):
    report = check(case)
    assert report.passed, str(report)
    assert not report.notes
    expected = {"window", "feature windows"}
    if case.subject.guarantee == "image crops":
        expected |= {"image crops"}
        assert not report.fidelity
    else:
        assert len(report.fidelity) == 2
    assert set(report.errors) == expected
    for errors in report.errors.values():
        assert errors["float64"] < 1e-12
        assert errors["float32"] < 1e-5


class Changed(nn.Module):
    """A converted network whose score maps are changed."""

    def __init__(self, inner: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def forward(self, images: Tensor) -> object:
        return self._map(self.inner(images))

    def logits(self, images: Tensor) -> object:
        return self._map(self.inner.logits(images))

    def _map(self, tree: object) -> object:
        if isinstance(tree, dict):
            return {key: self._map(value) for key, value in tree.items()}
        return tuple(map(self._map, tree)) if isinstance(tree, tuple) else self.change(tree)


def test_a_corrupted_weight_of_the_head_fails(plain):
    corrupted = copy.deepcopy(plain.subject.module)
    with torch.no_grad():
        corrupted.first[2, 3, 4, 5] += 0.01
    report = check(plain, corrupted)
    assert not report.passed
    assert min(report.errors["window"].values()) > 1e-5
    assert "NOT EQUAL" in str(report)


def test_a_transposed_kernel_fails(square):
    assert check(square).passed
    transposed = copy.deepcopy(square.subject.module)
    transposed.first = nn.Parameter(transposed.first.detach().transpose(-1, -2).clone())
    report = check(square, transposed)
    assert not report.passed
    assert all(error > 1e-5 for errors in report.errors.values() for error in errors.values())


def test_a_shift_by_one_cell_fails(case):
    for axis in (-2, -1):
        shifted = Changed(case.subject.module, lambda scores, axis=axis: scores.roll(1, axis))
        report = check(case, shifted)
        assert not report.passed
        assert max(report.errors["window"].values()) < 1e-5  # one cell, rolled, is the same cell
        assert min(report.errors["feature windows"].values()) > 1e-4


def test_nan_fails(case):
    report = check(case, Changed(case.subject.module, lambda scores: scores / 0 * 0))
    assert not report.passed
    assert all("the converted network gives NaN" in item.detail for item in report.comparisons)


def test_one_nan_cell_fails(plain):
    def spoil(scores: Tensor) -> Tensor:
        scores[0, 0, -1, -1] = torch.nan
        return scores

    assert not check(plain, Changed(plain.subject.module, spoil)).passed


def test_a_wrong_grid_fails(case):
    report = check(case, Changed(case.subject.module, lambda scores: scores[..., :-1]))
    assert not report.passed
    assert any("expected scores (64, ..., 1, 1)" in item.detail for item in report.comparisons)


def test_a_wrong_number_of_channels_fails(plain):
    report = check(plain, Changed(plain.subject.module, lambda scores: scores[:, :2]))
    assert not report.passed
    assert report.comparisons[0].detail == ("expected shape (3,) for each window, the converted network gives (2,)")


def test_a_wrong_number_type_fails(plain):
    report = check(plain, Changed(plain.subject.module, Tensor.float))
    details = {item.dtype: item.detail for item in report.comparisons}
    assert "gives torch.float32 for torch.float64" in details["float64"]
    assert not report.passed


def test_a_missing_and_an_unknown_output_fail(several):
    class Renamed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = several.subject.module

        def forward(self, images: Tensor) -> dict[str, object]:
            return {"sort": self.inner(images)["kind"], "boxes": self.inner(images)["boxes"]}

        logits = forward

    details = {item.detail for item in check(several, Renamed()).comparisons}
    assert details >= {"the converted network has no such output", "the original has no such output"}


def test_a_network_that_fails_is_reported(plain):
    def fail(scores: Tensor) -> Tensor:
        raise ValueError("out of cells")

    report = check(plain, Changed(plain.subject.module, fail))
    assert not report.passed
    assert "the converted network fails: ValueError: out of cells" in str(report)
    assert any("the converted network fails in torch.float64: ValueError" in note for note in report.notes)


def test_a_corrupted_trunk_weight_fails_in_a_padded_network(padded):
    corrupted = copy.deepcopy(padded.subject.module)
    with torch.no_grad():
        corrupted.trunk[0].weight[0, 0, 0, 0] += 0.01
    report = check(padded, corrupted)
    assert not report.passed
    assert min(report.errors["feature windows"].values()) > 1e-5


def test_a_corrupted_bias_of_one_output_names_that_output(several):
    corrupted = copy.deepcopy(several.subject.module)
    with torch.no_grad():
        corrupted.model.there.bias += 0.01
    report = check(several, corrupted)
    assert {item.output for item in report.comparisons if not item.passed} == {"boxes.1"}


def test_zero_padding_in_place_of_image_pixels_is_no_image_crop(padded):
    promised = dataclasses.replace(padded.subject, guarantee="image crops")
    report = check(dataclasses.replace(padded, subject=promised))
    assert not report.passed
    assert max(report.errors["feature windows"].values()) < 1e-5
    assert min(report.errors["image crops"].values()) > 1e-3


def test_the_distance_from_crops_is_measured_but_no_verdict(padded):
    report = check(padded)
    assert report.passed
    for fidelity in report.fidelity:
        assert 0 < fidelity.mean_difference < fidelity.max_difference <= 1
        assert 0.3 < fidelity.correlation < 1
        assert 0 <= fidelity.top1_agreement <= 1


def test_saturated_scores_are_told_apart_by_their_logits(plain):
    with torch.no_grad():
        plain.model.second.bias += torch.tensor([0.0, 200.0, 0.0])
    wrong = copy.deepcopy(plain.subject.module)
    with torch.no_grad():
        wrong.second.weight[1] += 1
    report = check(plain, wrong)
    assert {item.quantity for item in report.comparisons if not item.passed} == {"logits"}


def test_the_caller_keeps_the_model_as_it_was(plain):
    plain.model.train()
    plain.model.trunk[0].eval()
    before = copy.deepcopy(plain.model.state_dict())
    assert check(plain).passed
    assert plain.model.training
    assert not plain.model.trunk[0].training
    assert all(torch.equal(before[name], value) for name, value in plain.model.state_dict().items())
    assert next(plain.model.parameters()).dtype == torch.float32


def test_half_precision_models_are_checked_in_float32_and_float64(plain):
    half = copy.deepcopy(plain.model).bfloat16()
    module = copy.deepcopy(plain.subject.module)
    module.load_state_dict({name: value.bfloat16() for name, value in module.state_dict().items()})
    with torch.no_grad():
        value = copy.deepcopy(half).double().trunk(plain.subject.probe.image)
    split = dataclasses.replace(plain.subject.probe.splits[0], value=value)
    probe = dataclasses.replace(plain.subject.probe, splits=(split,))
    case = dataclasses.replace(plain, model=half, subject=dataclasses.replace(plain.subject, probe=probe))
    assert check(case, module).passed


def test_fewer_windows_than_one_are_refused():
    with pytest.raises(OptionError, match="windows_per_image: expected at least 1, got 0"):
        VerifySettings(windows_per_image=0)
