import pytest
import torch
from torch import nn

from fullyconv.train.best import BestWeights
from fullyconv.train.events import EpochDone


def run(best, network, losses):
    for epoch, loss in enumerate(losses, start=1):
        nn.init.constant_(network.weight, epoch)
        best.keep(network, EpochDone(0, epoch, 1.0, loss, 0.5))


def test_the_lowest_loss_wins_and_the_earliest_of_equals():
    network, best = nn.Linear(2, 1), BestWeights()
    run(best, network, [0.5, 0.3, 0.4, 0.3])
    assert best.restore(network).epoch == 2
    assert network.weight.tolist() == [[2.0, 2.0]] and not network.training


def test_it_goes_on_from_its_state():
    network, best, again = nn.Linear(2, 1), BestWeights(), BestWeights()
    run(best, network, [0.5, 0.3])
    again.load_state_dict(best.state_dict())
    run(again, network, [0.4])
    assert again.restore(network) == EpochDone(0, 2, 1.0, 0.3, 0.5)
    torch.testing.assert_close(network.weight, torch.full((1, 2), 2.0))


def test_there_must_have_been_an_epoch():
    empty = BestWeights()
    empty.load_state_dict(BestWeights().state_dict())
    with pytest.raises(RuntimeError, match="no epoch was kept"):
        empty.restore(nn.Linear(2, 1))
