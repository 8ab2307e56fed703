"""The demo from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from fullyconv.demo import steps
from fullyconv.demo.data import prepare_data
from fullyconv.demo.page import lay_out_page
from fullyconv.demo.result import DemoResult
from fullyconv.demo.worked import run_worked
from fullyconv.report.description import describe

Say = Callable[[str], None]


def run_demo(folder: Path, *, seed: int = 0, say: Say = print) -> DemoResult:
    """Does everything, writes models, pictures and `index.html` into `folder`, and says what it does.

    Raises:
        MissingExtraError: scikit-image, pytorch-ignite or kornia is not installed.
        OutputError: the folder cannot be written to.
    """
    start = time.perf_counter()
    data = prepare_data(folder)
    say(f"training on 200 crops, and on false boxes from {len(data.negatives)} photos without a face ...")
    trained = steps.train_faces(data, folder / "model.pt2", seed=seed, say=say)
    training_s = time.perf_counter() - start
    say("converting and verifying ...")
    networks = steps.convert_faces(folder / "model.pt2", folder / "dense.pt2")
    verified = steps.verify_faces(networks, (data.portrait,))
    say("looking for faces over scales ...")
    portrait = steps.look_at(data.portrait, networks.dense, folder / "detections", has_face=True)
    held_out = [steps.look_at(photo, networks.dense, folder / "detections", has_face=False) for photo in data.held_out]
    say("timing the three ways to the same scores, here and in the worked example ...")
    result = DemoResult(
        seed=seed,
        training_s=training_s,
        validation_accuracy=trained.validation_accuracy,
        negatives=len(data.negatives),
        description=describe(networks.dense),
        verified=verified,
        portrait=portrait,
        held_out=tuple(held_out),
        comparison=steps.time_faces(networks, data.portrait),
        worked=run_worked(data.worked_photo),
        total_s=time.perf_counter() - start,
    )
    lay_out_page(result, data.crops).write(folder / "index.html")
    return result
