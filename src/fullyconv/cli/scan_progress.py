"""How far a scan is, as a bar with its rate and the time that is left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fullyconv.scan.driver import PixelProgress

_MEGAPIXEL = 10**6


@contextmanager
def show_progress(label: str) -> Iterator[PixelProgress]:
    """Yields what a scan calls with the pixels done and those there are; writes nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} megapixels, {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    redirect = sys.stdout.isatty()  # lines into a pipe must not be led to stderr
    # A tile may take minutes: the speed is that of the last ten of them, not of the last half minute.
    with Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=redirect,
        transient=True,
        speed_estimate_period=600,
    ) as bars:
        task = bars.add_task(label, total=1, rate="")

        def show(done: int, total: int) -> None:
            bars.update(task, completed=done / _MEGAPIXEL, total=total / _MEGAPIXEL)
            speed = bars.tasks[0].speed
            bars.update(task, rate="" if speed is None else f"{speed:,.1f} a second")

        yield show
