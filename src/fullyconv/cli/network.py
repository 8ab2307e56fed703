"""Which network a command runs, in a form that every worker can open."""

from __future__ import annotations

from pathlib import Path

from fullyconv.cli.grid_options import GridOptions
from fullyconv.cli.runtime_options import RuntimeOptions
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.scan.network import NetworkFile


def describe_network(model: Path, dense: DenseModel, grid: GridOptions, runtime: RuntimeOptions) -> NetworkFile:
    """Returns what opens, in any process, the network that is open in this one.

    Args:
        model: its file.
        dense: the network, placed on what runs it.
        grid: as it was asked for.
        runtime: as it was asked for; where that was auto, the one that was chosen counts.
    """
    return NetworkFile(
        path=str(model.resolve()),
        stride=grid.parse_stride(),
        border=grid.border,
        runtime=None if dense.choice is None else dense.choice.runtime.name,
        precision=runtime.precision,
        device=runtime.device,
        max_error=runtime.max_error,
    )
