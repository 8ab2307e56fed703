"""`fullyconv train`: a folder of labelled crops becomes a classifier."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from fullyconv.train.settings import FitSettings, MiningSettings

if TYPE_CHECKING:
    from fullyconv.train import TrainResult

_FIT, _MINING = FitSettings(), MiningSettings()


def train(  # noqa: PLR0913 - one for each option; the rest are two flattened settings
    crops: Path,
    /,
    *,
    window: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    network: str = "compact",
    negatives: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    positive: str | None = None,
    validation_share: float = 0.2,
    seed: int = 0,
    restart: Annotated[bool, Parameter(negative=())] = False,
    fit: Annotated[FitSettings, Parameter(name="*")] = _FIT,
    mining: Annotated[MiningSettings, Parameter(name="*")] = _MINING,
) -> int:
    """Trains a classifier on a folder of crops; the same command goes on where an interrupted one stopped.

    Args:
        crops: a folder with one folder of pictures for each class.
        window: the crop size as WIDTHxHEIGHT; crops of other sizes are resized to it.
        output: the model file to write, such as model.pt2.
        network: compact, worked, or module:factory importable from the current directory.
        negatives: large images, or folders of them, known to hold no object; after each round they are
            scanned, and the false boxes join the crops as background.
        positive: of two classes, the one to detect; by default the one not named background, other, none ...
        validation_share: of each class, how much checks instead of teaching.
        seed: the same seed, data and settings give the same network.
        restart: begin anew, whatever checkpoint there is.
        fit: how the weights are found.
        mining: how negatives are found.
    """
    from fullyconv.cli.train_progress import show_progress
    from fullyconv.grid import parse_size
    from fullyconv.train import TrainConfig
    from fullyconv.train import train as run

    config = TrainConfig(
        crops=crops,
        window=parse_size(window),
        output=output,
        network=network,
        negatives=negatives,
        positive=positive,
        validation_share=validation_share,
        seed=seed,
        restart=restart,
        fit=fit,
        mining=mining,
    )
    try:
        with show_progress() as progress:
            result = run(config, progress)
    except KeyboardInterrupt:
        print("fullyconv: interrupted; the same command goes on from the last whole epoch", file=sys.stderr)
        return 130
    _print_result(result)
    return 0


def _print_result(result: TrainResult) -> None:
    from fullyconv.grid import format_size

    card, size = result.card, format_size(result.card.window)
    channels = f"{card.channels} channel{'s' if card.channels > 1 else ''}"
    print(f"{result.path}: {size}, {channels}, {card.activation}, classes: {', '.join(card.classes)}")
    print(f"validation accuracy: {result.validation_accuracy:.1%}, mean of the classes")
    print(f"next: fullyconv convert {result.path} --window {size} -o dense.pt2")
