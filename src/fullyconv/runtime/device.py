"""Where a network runs: the CPU, or a CUDA device where there is one."""

from __future__ import annotations

import re

import torch

from fullyconv.errors import OptionError


def check_device(device: str) -> str:
    """Returns the device if this machine has it; of CUDA devices with its number.

    Raises:
        OptionError: it has not, or it is none that networks run on.
    """
    if device == "cpu":
        return device
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise OptionError(f"device {device!r}: expected cpu, cuda or cuda:N, such as cuda:1")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise OptionError(
            f"device {device}: this machine has none that torch {torch.__version__} can use; leave the device out, "
            "or install a build of torch for CUDA"
        )
    number = int(match[1] or 0)
    if number >= count:
        raise OptionError(f"device {device}: this machine has {count} CUDA devices, counted from 0")
    return f"cuda:{number}"
