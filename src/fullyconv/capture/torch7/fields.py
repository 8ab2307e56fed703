"""A layer of the file and its fields, each read with the type that it must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fullyconv.capture.torch7.values import LuaFunction, Storage, StoredTensor, TorchObject
from fullyconv.errors import ModelError

# Methods that some networks replace in one layer, to freeze it say, and that a forward never calls.
_TRAINING_METHODS = {
    *("accGradParameters", "updateGradInput", "backward", "accUpdateGradParameters", "sharedAccUpdateGradParameters"),
    *("updateParameters", "zeroGradParameters", "getParametersByDevice", "reset"),
}

_LARGEST = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the network in the file.

    Attributes:
        place: where it stands, such as `1.3`: the fourth layer in the second of the network.
        stored: the layer.
    """

    place: str
    stored: TorchObject

    @property
    def class_name(self) -> str:
        """Its Torch7 class, such as `nn.Linear`."""
        return self.stored.class_name

    @property
    def version(self) -> float:
        """The version of its class when it was written."""
        return self.stored.version

    def has(self, name: str) -> bool:
        """Returns whether the field is there and not nil."""
        return self.stored.fields.get(name) is not None

    def read_int(self, name: str, least: int = 0, *, most: int = _LARGEST, default: int | None = None) -> int:
        """Returns a whole number from `least` to `most`; `default` where the field is missing.

        Raises:
            ModelError: it is something else, or missing without a default.
        """
        value = self.stored.fields.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, float) or not value.is_integer() or not least <= value <= most:
            span = f"of at least {least}" if most == _LARGEST else f"from {least} to {most}"
            raise self.fail(f"{name}: expected a whole number {span}, got {describe(value)}")
        return int(value)

    def read_number(self, name: str) -> float:
        """Returns a finite number.

        Raises:
            ModelError: it is something else.
        """
        value = self.stored.fields.get(name)
        if not isinstance(value, float) or not abs(value) < float("inf"):
            raise self.fail(f"{name}: expected a number, got {describe(value)}")
        return value

    def read_flag(self, name: str, *, default: bool) -> bool:
        """Returns a boolean; `default` where the field is missing.

        Raises:
            ModelError: it is something else.
        """
        value = self.stored.fields.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.fail(f"{name}: expected a boolean, got {describe(value)}")
        return default if value is None else value

    def read_sizes(self, name: str) -> tuple[int, ...]:
        """Returns the numbers of a LongStorage.

        Raises:
            ModelError: it is something else.
        """
        value = self.stored.fields.get(name)
        if not isinstance(value, Storage) or value.values.dtype.kind != "i":
            raise self.fail(f"{name}: expected sizes, got {describe(value)}")
        return tuple(value.values.tolist())

    def read_shape(self, name: str, axes: int) -> tuple[int, ...]:
        """Returns the shape of a tensor with so many axes.

        Raises:
            ModelError: it is something else.
        """
        value = self.stored.fields.get(name)
        if not isinstance(value, StoredTensor) or len(value.shape) != axes:
            raise self.fail(f"{name}: expected a tensor with rank {axes}, got {describe(value)}")
        return value.shape

    def read_tensor(self, name: str, *shapes: tuple[int, ...]) -> Tensor:
        """Returns a copy in float32 in the first of the `shapes`; the file may have it in any of them.

        Raises:
            ModelError: it is no tensor, or has another shape.
        """
        value = self.stored.fields.get(name)
        if not isinstance(value, StoredTensor) or value.shape not in shapes:
            expected = " or ".join(str(shape) for shape in shapes)
            raise self.fail(f"{name}: expected a tensor of the shape {expected}, got {describe(value)}")
        try:
            return torch.from_numpy(value.to_array()).reshape(shapes[0])
        except ValueError as error:
            raise self.fail(f"{name}: {error}") from None

    def find_layers(self) -> tuple[TorchObject, ...]:
        """Returns the layers that a container holds, in order.

        Raises:
            ModelError: what it holds is no list of layers.
        """
        value = self.stored.fields.get("modules")
        layers = [value.get(float(number)) for number in range(1, len(value) + 1)] if isinstance(value, dict) else None
        if layers is None or not all(isinstance(layer, TorchObject) for layer in layers):
            raise self.fail(f"modules: expected a list of layers, got {describe(value)}")
        return tuple(layer for layer in layers if isinstance(layer, TorchObject))

    def check_methods(self) -> None:
        """Returns if no function in the file replaces what the layer computes.

        Raises:
            ModelError: one does, or may; its bytecode is never run.
        """
        for name, value in self.stored.fields.items():
            if isinstance(value, LuaFunction) and name not in _TRAINING_METHODS:
                raise self.fail(f"{name} is a Lua function of its own, and no code from a file is run")

    def fail(self, message: str) -> ModelError:
        """Returns the error that says where in the network something is wrong."""
        return ModelError(f"layer {self.place or 'at the top'} ({self.class_name}): {message}")


def describe(value: Any) -> str:
    """Returns what a value of the file is, in few words."""
    if isinstance(value, StoredTensor):
        return f"a tensor of the shape {value.shape}"
    if isinstance(value, Storage):
        return f"a storage of {value.values.size} numbers"
    if isinstance(value, TorchObject):
        return value.class_name
    names = {dict: "a table", LuaFunction: "a Lua function", type(None): "nothing"}
    return names.get(type(value)) or repr(value)[:40]


def fill(module: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """Puts tensors in the place of a module's parameters and buffers, and returns it.

    The modules are made on the device `meta`, so that no random numbers are drawn for weights that are known.
    """
    for name, tensor in tensors.items():
        is_parameter = isinstance(getattr(module, name), nn.Parameter)
        setattr(module, name, nn.Parameter(tensor) if is_parameter else tensor)
    return module
