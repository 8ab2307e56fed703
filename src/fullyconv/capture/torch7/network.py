"""The network of a `.t7` file, as a PyTorch module with Torch7's semantics at evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from fullyconv.capture.torch7.fields import Layer, describe
from fullyconv.capture.torch7.normalisation import NORMALISATION
from fullyconv.capture.torch7.pointwise import POINTWISE
from fullyconv.capture.torch7.shapes import SHAPES
from fullyconv.capture.torch7.spatial import SPATIAL
from fullyconv.capture.torch7.tables import CONTAINERS, TABLES
from fullyconv.capture.torch7.values import TorchObject
from fullyconv.errors import ModelError

_LAYERS = {**SPATIAL, **POINTWISE, **NORMALISATION, **SHAPES, **TABLES}

# The largest networks have a few thousand layers; layers that stand in several places could make it any number.
_MOST_LAYERS = 100_000
_DEEPEST = 60


def find_network(value: Any) -> TorchObject:
    """Returns the network in what a file holds: the value itself, or the only network of a table of things.

    Raises:
        ModelError: there is none, or more than one.
    """
    if isinstance(value, TorchObject):
        return value
    entries = value.items() if isinstance(value, dict) else ()
    layers = {name: entry for name, entry in entries if isinstance(entry, TorchObject) and _may_be_network(entry)}
    if len({id(entry) for entry in layers.values()}) == 1:
        return next(iter(layers.values()))
    if layers:
        named = ", ".join(f"{name} ({entry.class_name})" for name, entry in layers.items())
        raise ModelError(f"expected one network, got a table with {named}")
    raise ModelError(f"expected a network such as nn.Sequential, got {describe(value)}")


def build_network(stored: TorchObject) -> nn.Module:
    """Returns the module of a network, in evaluation mode.

    A layer that stands in several places is one module.

    Raises:
        ModelError: a class is not known, or a layer has unusual parameters; the message names both.
    """
    return _Builder().build(Layer("", stored)).module.eval()


@dataclass(frozen=True, slots=True)
class _Built:
    """A module, how many layers it runs, and how deep they lie in each other."""

    module: nn.Module
    layers: int
    depth: int


class _Builder:
    def __init__(self) -> None:
        self._built: dict[TorchObject, _Built | None] = {}

    def build(self, layer: Layer) -> _Built:
        stored = layer.stored
        if stored not in self._built:
            self._built[stored] = None
            self._built[stored] = self._make(layer)
        built = self._built[stored]
        if built is None:
            raise layer.fail("it holds itself")
        return built

    def _make(self, layer: Layer) -> _Built:
        layer.check_methods()
        if layer.class_name in CONTAINERS:
            return self._make_container(layer)
        if layer.class_name not in _LAYERS:
            raise layer.fail("this class of layers is not known, so the network cannot be read")
        return _Built(_LAYERS[layer.class_name](layer), 1, 1)

    def _make_container(self, layer: Layer) -> _Built:
        if layer.place.count(".") > _DEEPEST:
            raise layer.fail(f"it lies in more than {_DEEPEST} containers")
        children = layer.find_layers()
        inner = [self.build(Layer(_join(layer.place, number), child)) for number, child in enumerate(children)]
        layers = 1 + sum(built.layers for built in inner)
        depth = 1 + max((built.depth for built in inner), default=0)
        if layers > _MOST_LAYERS or depth > _DEEPEST:
            raise layer.fail(f"{layers} layers, {depth} deep in each other, are more than a network has")
        return _Built(CONTAINERS[layer.class_name](layer, [built.module for built in inner]), layers, depth)


def _join(place: str, number: int) -> str:
    return f"{place}.{number}" if place else str(number)


def _may_be_network(entry: TorchObject) -> bool:
    return not entry.class_name.startswith(("torch.", "tds.")) and not entry.class_name.endswith("Criterion")
