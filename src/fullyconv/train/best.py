"""The weights of the best epoch so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from fullyconv.train.events import EpochDone


class BestWeights:
    """Keeps a copy of the weights of the epoch with the lowest validation loss; the earliest of equals."""

    def __init__(self) -> None:
        self.epoch: EpochDone | None = None
        self.weights: dict[str, torch.Tensor] = {}

    def keep(self, network: nn.Module, epoch: EpochDone) -> None:
        """Copies the weights if this epoch is better than all before it."""
        if self.epoch is None or epoch.validation_loss < self.epoch.validation_loss:
            self.epoch = epoch
            self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    def restore(self, network: nn.Module) -> EpochDone:
        """Gives the best weights to the network, puts it in eval mode, and returns their epoch."""
        if self.epoch is None:
            raise RuntimeError("restore: no epoch was kept")
        network.load_state_dict(self.weights)
        network.eval()
        return self.epoch

    def state_dict(self) -> dict[str, Any]:
        """Returns what `load_state_dict` needs: plain values and tensors."""
        return {"epoch": None if self.epoch is None else asdict(self.epoch), "weights": dict(self.weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        self.epoch = None if state["epoch"] is None else EpochDone(**state["epoch"])
        self.weights = dict(state["weights"])
