"""The command line as a process of its own, and real pictures to give it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

import fullyconv

SOURCE = Path(fullyconv.__file__).parents[1]
PHOTOS = Path(skimage.__file__).parent / "data"


@dataclass(frozen=True)
class Made:
    """What the session's training and conversion left."""

    crops: Path
    model: Path
    dense: Path
    said: dict[str, str]


def run_fullyconv(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fullyconv", *map(str, arguments)]
    # One thread: several test processes share the machine's cores.
    own = {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": str(SOURCE)}
    environment = os.environ | own
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def write_crops(folder: Path, count: int = 20) -> Path:
    crops = np.load(PHOTOS / "lfw_subset.npy")
    for name, start in (("face", 0), ("other", 100)):
        (folder / name).mkdir(parents=True)
        for number, crop in enumerate(crops[start : start + count]):
            Image.fromarray(np.uint8(crop * 255)).save(folder / name / f"{number:02}.png")
    return folder


def list_files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
