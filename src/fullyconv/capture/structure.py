"""The structure of a model's outputs, as plain dicts, lists and tuples; a dataclass becomes a dict of its fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
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


def make_structure(spec: pytree.TreeSpec, given: Sequence[bool]) -> Any:
    """Returns the model's output structure as plain dicts, lists and tuples of output places.

    Args:
        spec: of the outputs.
        given: for each leaf, whether it is an output; None stays None.
    """
    places = [sum(given[:leaf]) if is_given else None for leaf, is_given in enumerate(given)]
    return _simplify(pytree.tree_unflatten(places, spec))


def fill_structure(structure: Any, values: Sequence[Any]) -> Any:
    """Returns the structure with each output's place taken by its value."""
    if structure is None or isinstance(structure, int):
        return None if structure is None else values[structure]
    if isinstance(structure, Mapping):
        return {key: fill_structure(inner, values) for key, inner in structure.items()}
    return type(structure)(fill_structure(inner, values) for inner in structure)


def _simplify(tree: Any) -> Any:
    if tree is None or isinstance(tree, int):
        return tree
    fields = tree if isinstance(tree, Mapping) else list_fields(tree)
    if fields is not None:
        return {str(key): _simplify(value) for key, value in fields.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_simplify(value) for value in tree) if type(tree) in (list, tuple) else tuple(
            _simplify(value) for value in tree)  # fmt: skip
    children, _ = pytree.SUPPORTED_NODES[type(tree)].flatten_fn(tree)
    return [_simplify(child) for child in children]
