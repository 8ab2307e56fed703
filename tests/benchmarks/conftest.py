"""The benchmarks' modules, importable as they are when the benchmarks run."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
