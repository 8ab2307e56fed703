"""How far a trained network's dense scores are from crops, on photos, for each place its padding can be seen."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from export_trial import find_errors, try_export
from exported import Export
from exported.of_wheels import TRAINED, Trained
from skimage import data, transform

import fullyconv
from fullyconv.capture.onnx_model import load_onnx
from fullyconv.card import Border, ModelCard
from fullyconv.verify.report import VerifyReport
from fullyconv.verify.verification import VerifySettings

_PHOTOS = ("astronaut", "camera", "coffee")
_SIDE_PX = 256
_WINDOWS = 64

_SETTINGS = VerifySettings(_WINDOWS, 0, (torch.float32,))


def try_trained(case: Export) -> dict[str, Any]:
    """Returns the row of a file, with its distance from crops on photos."""
    row = try_export(case)
    if row["outcome"] == "right":
        with tempfile.TemporaryDirectory() as folder:
            row["borders"] = _measure(case, TRAINED[case.name], Path(folder))
    return row


def _measure(case: Export, trained: Trained, folder: Path) -> dict[str, dict[str, Any]]:
    exported = case.make(folder)
    source = load_onnx(exported.path)
    dense = fullyconv.convert(source, exported.window)
    card = ModelCard(dense.grid.window_px, dense.card.channels, preprocessing=trained.preprocessing)
    dense = replace(dense, card=replace(card, activation=dense.card.activation))
    photos = list(read_photos(trained))
    found = {}
    for border in get_args(Border):
        report = fullyconv.verify(dense.with_border(border), source, photos, settings=_SETTINGS)
        found[border] = _summarise(report, trained)
    return found


def read_photos(trained: Trained) -> Iterator[np.ndarray]:
    """Yields photos of 256 pixels' height as uint8 `(H, W, C)`, rows and columns exchanged where the package does."""
    for name in _PHOTOS:
        photo = getattr(data, name)()
        size = (_SIDE_PX, round(_SIDE_PX * photo.shape[1] / photo.shape[0]), *photo.shape[2:])
        pixels = np.uint8(np.round(255 * transform.resize(photo, size, anti_aliasing=True)))
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        yield np.ascontiguousarray(pixels.swapaxes(0, 1)) if trained.is_transposed else pixels


def _summarise(report: VerifyReport, trained: Trained) -> dict[str, Any]:
    """Returns means over the windows of all photos; where scores equal crops, by how much they differ."""
    errors = find_errors(report)
    wanted = trained.output if _has_several(report) else None
    items = [item for item in report.fidelity if wanted is None or item.output == wanted]
    if not items:
        return {"passed": report.passed, "errors": errors}
    windows = sum(item.cells for item in items)

    def average(name: str) -> float | None:
        values = [(getattr(item, name), item.cells) for item in items]
        known = [(value, cells) for value, cells in values if value is not None]
        return sum(value * cells for value, cells in known) / sum(c for _, c in known) if known else None

    names = ("mean_difference", "correlation", "top1_agreement", "moved_difference")
    return {
        "passed": report.passed,
        "errors": errors,
        "windows": windows,
        "max_difference": max(item.max_difference for item in items),
        "moved_px": items[0].moved_px,
        **{name: average(name) for name in names},
    }


def _has_several(report: VerifyReport) -> bool:
    return len({item.output for item in report.fidelity}) > 1
