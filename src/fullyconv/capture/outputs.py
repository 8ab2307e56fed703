"""Dataclasses among a model's outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils import _pytree as pytree


def list_fields(value: Any) -> dict[str, Any] | None:
    """Returns what a dataclass was made of, by name, without fields that are None; None for anything else."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type | Mapping):
        return None
    named = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    return {name: inner for name, inner in named.items() if inner is not None}


def register_dataclasses(outputs: Any) -> None:
    """Makes torch.export take the dataclasses among `outputs` apart, as it does for those that it was told of."""
    for leaf in pytree.tree_leaves(outputs):
        fields = list_fields(leaf)
        if fields is not None:
            torch.export.register_dataclass(type(leaf))
            register_dataclasses(list(fields.values()))
