"""In which numbers torch multiplies, for the length of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from fullyconv.runtime.specification import Runtime


@contextmanager
def computing(runtime: Runtime) -> Iterator[None]:
    """Makes torch compute as the runtime says: convolutions and products in bfloat16 or float16, or exactly."""
    device = torch.device(runtime.device).type
    if not runtime.is_exact:
        with torch.autocast(device, getattr(torch, runtime.arithmetic)):
            yield
    elif device == "cuda":
        with whole_float32():
            yield
    else:
        yield


@contextmanager
def whole_float32() -> Iterator[None]:
    """Keeps graphics cards from multiplying float32 with 10 bits of its 23 (TF32), as torch's convolutions do there."""
    backends: Any = torch.backends  # whose modules make these switches when they are imported
    switches = (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
    before = [switch.fp32_precision for switch in switches]
    try:
        for switch in switches:
            switch.fp32_precision = "ieee"
        yield
    finally:
        for switch, precision in zip(switches, before, strict=True):
            switch.fp32_precision = precision
