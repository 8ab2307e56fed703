"""The guides of frameworks that only requirements/coverage.txt installs: `make guides`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from commands import SOURCE
from guides import GUIDES

# A guide, and the backend that Keras is to use.
RUNS = [("tensorflow", "tensorflow"), ("keras", "tensorflow"), ("keras", "torch")]


@pytest.mark.parametrize(("name", "backend"), RUNS)
def test_a_guide_runs(tmp_path, name, backend):
    """In a process of its own, because a process has one backend, and these frameworks warn of much."""
    paths = os.pathsep.join(map(str, (SOURCE, GUIDES.parents[1] / "tests")))
    environment = os.environ | {"PYTHONPATH": paths, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", f"from guides import run_guide; run_guide({name!r})"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
