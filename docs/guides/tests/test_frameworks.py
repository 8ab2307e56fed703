"""The guides of frameworks that only requirements/coverage.txt installs: `make guides`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from guides import GUIDES, run_guide


def test_tensorflow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_guide("tensorflow")


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_keras(tmp_path, monkeypatch, backend):
    """In a process of its own, because a process has one backend."""
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setenv("PYTHONPATH", str(GUIDES.parents[1] / "tests"), prepend=":")
    command = [sys.executable, "-c", 'from guides import run_guide; run_guide("keras")']
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
