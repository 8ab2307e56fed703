"""Torch7's `.t7` files, read without running what they carry."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from fullyconv.capture.torch7.binary import FormatError
from fullyconv.capture.torch7.network import build_network, find_network
from fullyconv.capture.torch7.reader import read_values
from fullyconv.errors import ModelError

__all__ = ["load_torch7"]


def load_torch7(path: Path) -> nn.Module:
    """Returns the network of a `.t7` file as a PyTorch module in float32, in evaluation mode.

    It takes batches `(N, C, H, W)` and gives what Torch7 gives after `network:evaluate()`.

    Raises:
        ModelError: there is no such file, it is no binary `.t7` file or damaged, or its network has layers that are
            not known.
    """
    try:
        value = read_values(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: expected a Torch7 file (.t7), got {error.strerror or error}") from None
    except FormatError as error:
        raise ModelError(f"{path}: expected a whole binary Torch7 file (.t7): {error}") from None
    try:
        return build_network(find_network(value))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
