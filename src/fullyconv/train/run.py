"""A whole training: crops and large images in, a model file out; interrupted ones go on where they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fullyconv.capture.pt2 import save_classifier
from fullyconv.card import ModelCard
from fullyconv.train.events import (
    EpochDone,
    Event,
    Listener,
    Note,
    ScanDone,
    ignore_event,
    read_event,
    write_event,
)
from fullyconv.train.factory import build_network
from fullyconv.train.fitting import Round, States, fit
from fullyconv.train.mining import make_scanner, mine
from fullyconv.train.negatives import NegativeBox
from fullyconv.train.networks import append_activation
from fullyconv.train.plan import RunPlan, plan_run
from fullyconv.train.settings import TrainConfig


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training made.

    Attributes:
        path: the model file, with its card inside.
        card: what the network expects and what its outputs mean.
        validation_accuracy: of the weights that were saved, on the last round's validation crops, mean of the
            classes, 0 to 1.
        history: every epoch and every scan, in order.
    """

    path: Path
    card: ModelCard
    validation_accuracy: float
    history: tuple[EpochDone | ScanDone, ...]


def train(config: TrainConfig, progress: Listener = ignore_event) -> TrainResult:
    """Trains a classifier as `config` says and writes it to `config.output`, ending in its own activation.

    While it runs, `<output>.checkpoint` is kept; the same call after an interruption goes on where that
    stopped, and gives the weights that an uninterrupted run would have given.

    Args:
        config: crops, window, network, negatives, settings.
        progress: hears of every batch, epoch and scan, and gets notes to a person.

    Raises:
        DataError: the crops or negatives do not hold what training needs.
        ImageError: a file cannot be read as an image.
        OptionError: a setting has no meaning, or a checkpoint belongs to another training.
        OutputError: the model file cannot be written there.
        MissingExtraError: pytorch-ignite or kornia is not installed.
    """
    plan = plan_run(config, progress)
    state = _start(plan, progress)
    best = _fit_round(plan, state, progress)
    while state.round_index < plan.rounds:
        _mine_round(plan, state, progress)
        best = _fit_round(plan, state, progress)
    model = append_activation(state.network, plan.card.activation)
    save_classifier(model.eval(), plan.card, config.output)
    plan.checkpoint.remove()
    return TrainResult(config.output, plan.card, best.validation_accuracy, tuple(state.history))


@dataclass(slots=True, eq=False)
class _RunState:
    network: nn.Module
    round_index: int
    boxes: tuple[NegativeBox, ...]
    history: list[EpochDone | ScanDone]
    states: States | None = None  # of the round that was interrupted


def _start(plan: RunPlan, progress: Listener) -> _RunState:
    network = _build_network(plan)
    saved = None if plan.config.restart else plan.checkpoint.load()
    if saved is None:
        return _RunState(network, 0, plan.drawn, [])
    history = [read_event(event) for event in saved["history"]]
    progress(Note(f"{plan.checkpoint.path}: going on after {history[-1]}"))
    boxes = tuple(NegativeBox(image, tuple(box), index) for image, box, index in saved["boxes"])
    return _RunState(network, saved["round_index"], boxes, history, saved["states"])


def _build_network(plan: RunPlan) -> nn.Module:
    config, card = plan.config, plan.card
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build_network(config.network, config.window, card.channels, len(card.classes))


def _fit_round(plan: RunPlan, state: _RunState, progress: Listener) -> EpochDone:
    def hear(event: Event) -> None:
        if isinstance(event, EpochDone):
            state.history.append(event)
        progress(event)

    def save(states: States) -> None:
        plan.checkpoint.save({"states": states, **_describe(state)})

    round_ = Round(state.round_index, plan.config.seed, state.states, save)
    state.states = None
    return fit(state.network, plan.gather_data(state.boxes), plan.config.fit, round_=round_, listener=hear)


def _mine_round(plan: RunPlan, state: _RunState, progress: Listener) -> None:
    state.round_index += 1
    scanner = make_scanner(state.network, plan.card, plan.config.mining.threshold, state.round_index)
    found, done = mine(scanner, plan.images, state.boxes, plan.config.mining, round_index=state.round_index)
    state.boxes += found
    state.history.append(done)
    progress(done)


def _describe(state: _RunState) -> dict[str, Any]:
    return {
        "round_index": state.round_index,
        "boxes": [(box.image, box.box_xyxy, box.round_index) for box in state.boxes],
        "history": [write_event(event) for event in state.history],
    }
