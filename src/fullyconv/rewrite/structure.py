"""The structure of a model's outputs, as plain dicts, lists and tuples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils import _pytree as pytree

from fullyconv.capture.outputs import list_fields


def make_structure(spec: pytree.TreeSpec) -> Any:
    """Returns the model's output structure as plain dicts, lists and tuples of output places."""
    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    return _simplify(tree)


def fill_structure(structure: Any, values: Sequence[Any]) -> Any:
    """Returns the structure with each output's place taken by its value."""
    if isinstance(structure, int):
        return values[structure]
    if isinstance(structure, Mapping):
        return {key: fill_structure(inner, values) for key, inner in structure.items()}
    return type(structure)(fill_structure(inner, values) for inner in structure)


def _simplify(tree: Any) -> Any:
    if isinstance(tree, int):
        return tree
    if isinstance(tree, Mapping):
        return {str(key): _simplify(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_simplify(value) for value in tree) if type(tree) in (list, tuple) else tuple(
            _simplify(value) for value in tree)  # fmt: skip
    fields = list_fields(tree)
    if fields is not None:
        return {name: _simplify(value) for name, value in fields.items()}
    children, _ = pytree.SUPPORTED_NODES[type(tree)].flatten_fn(tree)
    return [_simplify(child) for child in children]
