"""How `fullyconv train` shows its progress: a bar on a terminal, and a line for each epoch and scan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskID

from fullyconv.train.events import BatchDone, Event, Listener


@contextmanager
def show_progress(console: Console | None = None) -> Iterator[Listener]:
    """Yields a listener that prints events to `console`, by default stderr; the bar is for terminals only."""
    console = console or Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=None)

        def show(event: Event) -> None:
            if isinstance(event, BatchDone):
                _advance(progress, task, event)
            else:
                console.print(str(event), soft_wrap=True, markup=False)

        yield show


def _advance(progress: Progress, task: TaskID, event: BatchDone) -> None:
    progress.update(task, description=f"round {event.round_index}", completed=event.done, total=event.total)
