"""The table of rules: for each operation, how it carries over to the dense network, or why it does not.

A rule is a function of a node, the fields of its inputs and the bench. It returns the field of each output,
or a Refusal with the reason; it holds no state. `rules/` has one file for each family of operations, found by
being there.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

from fullyconv.analyze.build import Build
from fullyconv.analyze.fields import Field, Refusal
from fullyconv.graph import Node, Opaque, Operation

# Fields of the inputs that depend on the image; constants and missing inputs are None.
Inputs = tuple[Field | None, ...]
Outcome = tuple[Field, ...] | Refusal
Rule = Callable[[Node, Inputs, Build], Outcome]

_RULES: dict[type[Operation] | str, Rule] = {}


def rule(*keys: type[Operation] | str) -> Callable[[Rule], Rule]:
    """Registers a rule for operations, or for Opaque ones by their framework's name, such as `aten.roll`."""

    def register(function: Rule) -> Rule:
        for key in keys:
            if key in _RULES:
                raise ValueError(f"two rules for {key}")
            _RULES[key] = function
        return function

    return register


def find_rule(node: Node) -> Rule:
    """Returns the rule of a node's operation; for an unknown one, the rule that refuses it."""
    _find_all()
    key = node.source if isinstance(node.op, Opaque) else type(node.op)
    return _RULES.get(key, _refuse_unknown)


def list_keys() -> set[type[Operation] | str]:
    """Returns what there are rules for."""
    _find_all()
    return set(_RULES)


def _find_all() -> None:
    if _RULES:
        return
    package = import_module("fullyconv.analyze.rules")
    for module in iter_modules(package.__path__):
        import_module(f"fullyconv.analyze.rules.{module.name}")


def get_field(inputs: Inputs, place: int = 0) -> Field:
    """Returns an input that must depend on the image.

    Raises:
        LookupError: it is a constant there; the walk turns this into a refusal.
    """
    value = inputs[place]
    if value is None:
        raise LookupError(f"input {place} is a constant where a value of the image was expected")
    return value


def _refuse_unknown(node: Node, inputs: Inputs, build: Build) -> Outcome:
    return Refusal("may mix the values of a whole window")
