"""Calls as JSON: every literal that torch.export puts in a graph, and nothing that could name code."""

from __future__ import annotations

import math
from typing import Any

import torch

from fullyconv.capture.calls import Call, PerBatch, Ref

_KINDS = {
    torch.dtype: "dtype",
    torch.layout: "layout",
    torch.memory_format: "memory_format",
    torch.device: "device",
}


def dump_call(call: Call) -> dict[str, Any]:
    """Returns a call as JSON values.

    Raises:
        TypeError: a literal of a kind that torch.export does not produce.
    """
    return {
        "target": call.target,
        "args": [_dump(arg) for arg in call.args],
        "kwargs": {name: _dump(arg) for name, arg in call.kwargs.items()},
        "outputs": list(call.outputs),
    }


def load_call(data: dict[str, Any]) -> Call:
    """Returns the call of `dump_call`.

    Raises:
        ValueError, KeyError, TypeError: the data are damaged.
    """
    kwargs = {str(name): _load(arg) for name, arg in data["kwargs"].items()}
    return Call(str(data["target"]), tuple(_load(arg) for arg in data["args"]), kwargs, tuple(data["outputs"]))


def _dump(arg: Any) -> Any:
    if isinstance(arg, Ref):
        return {"tensor": arg.name}
    if isinstance(arg, PerBatch):
        return {"per_batch": [arg.offset, arg.slope]}
    if isinstance(arg, list | tuple):
        return [_dump(inner) for inner in arg]
    if isinstance(arg, float) and not math.isfinite(arg):
        return {"float": str(arg)}
    if arg is None or isinstance(arg, bool | int | float | str):
        return arg
    kind = _KINDS.get(type(arg))
    if kind is None:
        raise TypeError(f"cannot be saved: {arg!r}")
    return {kind: str(arg).removeprefix("torch.")}


def _load(data: Any) -> Any:
    if isinstance(data, list):
        return [_load(inner) for inner in data]
    if not isinstance(data, dict):
        return data
    ((kind, value),) = data.items()
    if kind == "tensor":
        return Ref(str(value))
    if kind == "per_batch":
        return PerBatch(int(value[0]), int(value[1]))
    if kind == "float":
        return float(value)
    if kind == "device":
        return torch.device(value)
    literal = getattr(torch, str(value))
    if _KINDS.get(type(literal)) != kind:
        raise ValueError(f"{kind} {value}")
    return literal
