"""One round of training on crops in memory: engines, schedule, early stopping and checkpoint of ignite."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import nn

from fullyconv.card import Preprocessing
from fullyconv.train.batches import Batch, WeighedCrops, count_batches, weigh_for_training
from fullyconv.train.best import BestWeights
from fullyconv.train.crops import CropSet
from fullyconv.train.events import BatchDone, EpochDone, Listener, ignore_event
from fullyconv.train.labels import Labelling
from fullyconv.train.libraries import import_ignite
from fullyconv.train.mixing import Mixing
from fullyconv.train.settings import FitSettings
from fullyconv.train.step import make_judgement, make_step

States = Mapping[str, Any]
VALIDATION_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class FitData:
    """What a network is trained on.

    Attributes:
        training: crops that teach.
        validation: crops that check.
        labelling: what the outputs mean.
        preprocessing: how pixels become the network's input.
        background_share: how much of a batch is background; None draws all classes alike.
        mixed_share: how much of the background in a batch is mixed from two crops of it, 0 to 1; only for
            background that holds no object of any class.
    """

    training: CropSet
    validation: CropSet
    labelling: Labelling
    preprocessing: Preprocessing
    background_share: float | None = None
    mixed_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """Which round of training this is, and what it continues.

    Attributes:
        index: 0 before the first scan of negatives.
        seed: every draw of an epoch depends on seed, round and epoch alone, so that a run that was
            interrupted goes on as if it had not been.
        states: what an earlier `save` of the same round was given, or None.
        save: called after each epoch with all that is needed to go on.
    """

    index: int = 0
    seed: int = 0
    states: States | None = None
    save: Callable[[States], None] | None = None


def fit(
    network: nn.Module,
    data: FitData,
    settings: FitSettings,
    *,
    round_: Round | None = None,
    listener: Listener = ignore_event,
) -> EpochDone:
    """Trains `network` in place; it ends with the weights of its best epoch, in eval mode.

    Args:
        network: from normalised `(N, C, H, W)` to logits `(N, K)`.
        data: crops, what they mean and how they are prepared.
        settings: epochs, batches, learning rate.
        round_: which round, its seed, and the state to go on from.
        listener: hears of every batch and epoch.

    Returns:
        The best epoch: that with the lowest validation loss.

    Raises:
        OptionError: the loss is not a finite number any more.
        MissingExtraError: pytorch-ignite or kornia is not installed.
    """
    round_ = round_ or Round()
    plan = _plan_fit(data, settings, round_)
    parts = _build_parts(network, plan, settings)
    _attach_handlers(parts, plan, round_, listener)
    with torch.random.fork_rng(devices=[]):
        _run(parts, plan, settings, round_)
    return parts.best.restore(network)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    training: WeighedCrops
    validation: WeighedCrops
    preprocessing: Preprocessing
    mixing: Mixing | None
    epochs: int
    batches: int  # in an epoch


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    trainer: Any  # ignite's engines and handlers
    evaluator: Any
    stopping: Any
    best: BestWeights

    def name_states(self) -> dict[str, Any]:
        names = ("network", "optimizer", "schedule", "trainer", "stopping", "best")
        return {name: getattr(self, name) for name in names}


def _plan_fit(data: FitData, settings: FitSettings, round_: Round) -> _Plan:
    share = data.background_share
    return _Plan(
        training=weigh_for_training(data.training, data.labelling, share),
        validation=weigh_for_training(data.validation, data.labelling, share),
        preprocessing=data.preprocessing,
        mixing=_plan_mixing(data),
        epochs=settings.round_epochs if round_.index else settings.epochs,
        batches=count_batches(data.training, settings.batch_size, settings.fewest_batches),
    )


def _plan_mixing(data: FitData) -> Mixing | None:
    target = data.labelling.background_target
    return Mixing(target, data.mixed_share) if target is not None and data.mixed_share else None


def _build_parts(network: nn.Module, plan: _Plan, settings: FitSettings) -> _Parts:
    engine, handlers, metrics = (import_ignite(name) for name in ("engine", "handlers", "metrics"))
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        settings.learning_rate,
        epochs=plan.epochs,
        steps_per_epoch=plan.batches,
        cycle_momentum=False,
    )
    trainer = engine.Engine(
        make_step(network, plan.preprocessing, settings=settings, descent=(optimizer, schedule), mixing=plan.mixing)
    )
    evaluator = engine.Engine(make_judgement(network, plan.preprocessing))
    stopping = handlers.EarlyStopping(settings.patience, lambda done: -float(done.state.metrics["mean"][0]), trainer)
    for part in (trainer, evaluator):
        metrics.Average().attach(part, "mean")
    for part in (trainer, evaluator, stopping):
        part.logger = _get_silent_logger()
    return _Parts(network, optimizer, schedule, trainer, evaluator, stopping, BestWeights())


def _get_silent_logger() -> logging.Logger:
    # ignite would report an interruption and the end of a round; both are the caller's to tell.
    logger = logging.getLogger("fullyconv.train.ignite")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return logger


def _attach_handlers(parts: _Parts, plan: _Plan, round_: Round, listener: Listener) -> None:
    events = import_ignite("engine").Events
    parts.evaluator.add_event_handler(events.COMPLETED, parts.stopping)

    @parts.trainer.on(events.ITERATION_COMPLETED)  # type: ignore[untyped-decorator]
    def tell_batch(trainer: Any) -> None:
        listener(BatchDone(round_.index, trainer.state.iteration, plan.epochs * plan.batches))

    @parts.trainer.on(events.EPOCH_COMPLETED)  # type: ignore[untyped-decorator]
    def validate(trainer: Any) -> None:
        parts.evaluator.run(list(plan.validation.list_batches(VALIDATION_BATCH)))
        loss, accuracy = parts.evaluator.state.metrics["mean"].tolist()
        epoch = EpochDone(round_.index, trainer.state.epoch, float(trainer.state.metrics["mean"]), loss, accuracy)
        parts.best.keep(parts.network, epoch)
        listener(epoch)

    if round_.save is not None:
        save = round_.save
        checkpoint = import_ignite("handlers").Checkpoint(parts.name_states(), lambda states, *_: save(states))
        parts.trainer.add_event_handler(events.EPOCH_COMPLETED, checkpoint)


def _run(parts: _Parts, plan: _Plan, settings: FitSettings, round_: Round) -> None:
    if round_.states is not None:
        import_ignite("handlers").Checkpoint.load_objects(parts.name_states(), round_.states)
    epochs_done = parts.trainer.state.epoch
    if epochs_done < plan.epochs and parts.stopping.counter < settings.patience:
        batches = _draw_epochs(plan, settings.batch_size, round_, first=epochs_done + 1)
        parts.trainer.run(batches, max_epochs=plan.epochs, epoch_length=plan.batches)


def _draw_epochs(plan: _Plan, batch_size: int, round_: Round, *, first: int) -> Iterator[Batch]:
    generator = torch.Generator()
    for epoch in count(first):
        seed = int(np.random.SeedSequence((round_.seed, round_.index, epoch)).generate_state(1)[0])
        generator.manual_seed(seed)
        torch.manual_seed(seed)  # augmentation and dropout draw from the global generator
        yield from plan.training.draw_batches(plan.batches, batch_size, generator)
