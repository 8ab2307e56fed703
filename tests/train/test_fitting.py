from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fullyconv.train.crops import CropSet
from fullyconv.train.events import BatchDone, EpochDone
from fullyconv.train.fitting import FitData, Round, fit
from fullyconv.train.labels import decide_labelling
from fullyconv.train.networks import compact
from fullyconv.train.settings import FitSettings
from fullyconv.train.split import measure_preprocessing, split_crops

QUICK = FitSettings(epochs=4, round_epochs=2, batch_size=16, fewest_batches=3, learning_rate=0.01)


def make_data(names=("other", "spot"), seed=0):
    """Noise; the second class has a bright spot, the third a dark one."""
    generator = np.random.default_rng(seed)
    labels = np.arange(20 * len(names)) % len(names)
    images = generator.integers(80, 160, (len(labels), 1, 12, 12), dtype=np.uint8)
    images[labels == 1, :, 4:8, 4:8] = 255
    images[labels == 2, :, 4:8, 4:8] = 0
    training, validation = split_crops(CropSet(images, labels, tuple(names)), 0.25, seed)
    return FitData(training, validation, decide_labelling(names), measure_preprocessing(training))


def make_network(outputs=1, seed=0):
    torch.manual_seed(seed)
    return compact((12, 12), 1, outputs)


@pytest.mark.parametrize("names", [("other", "spot"), ("other", "spot", "hole")])
def test_it_learns_one_unit_and_several_classes(names):
    network = make_network(1 if len(names) == 2 else 3)
    best = fit(network, make_data(names), replace(QUICK, epochs=8))
    assert best.validation_accuracy > 0.9 and not network.training


def test_it_tells_every_batch_and_epoch():
    events = []
    best = fit(make_network(), make_data(), QUICK, listener=events.append)
    batches = [event for event in events if isinstance(event, BatchDone)]
    epochs = [event for event in events if isinstance(event, EpochDone)]
    assert [event.done for event in batches] == list(range(1, 13)) and batches[0].total == 12
    assert [event.epoch for event in epochs] == [1, 2, 3, 4]
    assert best == min(epochs, key=lambda event: event.validation_loss)


def test_the_reported_accuracy_is_that_of_the_restored_weights():
    network, data = make_network(), make_data()
    best = fit(network, data, QUICK)
    preprocessing = data.preprocessing
    images = torch.from_numpy(data.validation.images) / 255
    with torch.no_grad():
        logits = network((images - preprocessing.mean[0]) / preprocessing.std[0])[:, 0].numpy()
    hits = (logits > 0) == (data.validation.labels == 1)
    means = [hits[data.validation.labels == label].mean() for label in (0, 1)]
    assert best.validation_accuracy == pytest.approx(np.mean(means))


def test_later_rounds_are_shorter():
    events = []
    fit(make_network(), make_data(), QUICK, round_=Round(index=1), listener=events.append)
    assert sum(isinstance(event, EpochDone) for event in events) == 2


def test_it_stops_when_nothing_gets_better():
    events = []
    settings = FitSettings(epochs=30, patience=2, batch_size=8, fewest_batches=1, learning_rate=1e-12)
    frozen = make_network()
    for part in frozen.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.0  # then nothing at all changes, and no epoch is better than the first
    fit(frozen, make_data(), settings, listener=events.append)
    assert sum(isinstance(event, EpochDone) for event in events) == 3


def test_the_same_seed_gives_the_same_weights():
    networks = [make_network() for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        fit(network, make_data(), QUICK, round_=Round(seed=seed))
    first, second, other = (torch.cat([value.flatten() for value in n.parameters()]) for n in networks)
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    network = make_network(seed=5)
    torch.manual_seed(5)
    fit(network, make_data(), QUICK)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_a_round_goes_on_from_any_epoch_as_if_never_stopped(stop_after):
    saved = []
    whole = make_network()
    best = fit(whole, make_data(), QUICK, round_=Round(save=lambda states: saved.append(freeze(states))))
    assert len(saved) == 4
    resumed = make_network(seed=9)
    again = fit(resumed, make_data(), QUICK, round_=Round(states=saved[stop_after - 1]))
    assert again == best
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def freeze(states):
    if isinstance(states, torch.Tensor):
        return states.clone()
    if isinstance(states, dict):
        return {name: freeze(value) for name, value in states.items()}
    return [freeze(value) for value in states] if isinstance(states, list) else states
