"""What the demo prints at the end."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from fullyconv.demo.phrases import (
    LOOKED_HEAD,
    WAYS_HEAD,
    explain_comparison,
    explain_face,
    explain_held_out,
    explain_worked,
    list_looked,
    list_ways,
)
from fullyconv.demo.result import DemoResult
from fullyconv.report.tables import make_table


def lay_out_result(result: DemoResult) -> list[RenderableType]:
    """Returns tables and sentences, in the order of the page."""
    worked = result.worked.comparison
    return [
        make_table(LOOKED_HEAD, list_looked(result), title="Faces, threshold 0.5"),
        Text(explain_face(result.portrait)),
        Text(explain_held_out(result)),
        Text(""),
        make_table(WAYS_HEAD, list_ways(result.comparison), title="The same scores in three ways"),
        Text(explain_comparison(result.comparison)),
        Text(""),
        make_table(WAYS_HEAD, list_ways(worked), title="The worked example: 64x128 on 1024x512"),
        Text(explain_comparison(worked)),
        Text(explain_worked(result)),
        Text(""),
        Text(f"{result.total_s:.0f} s in all, {result.training_s:.0f} s of them for training."),
    ]
