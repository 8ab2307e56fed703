"""Writes `.t7` files as Torch7 does, for fixtures: binary, little-endian, with `long` of 8 or 4 bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TENSORS = {"f4": "Float", "f8": "Double", "i8": "Long", "i4": "Int", "u1": "Byte"}


@dataclass(eq=False)
class Obj:
    """An object of a Torch7 class; `version` None writes it as files did before there were versions."""

    class_name: str
    fields: dict[Any, Any] = field(default_factory=dict)
    version: int | None = 1


@dataclass(eq=False)
class View:
    """A tensor that looks into a storage, with the numbers that the file is to say."""

    storage: np.ndarray
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    first: int = 1
    class_name: str = "torch.FloatTensor"


@dataclass(eq=False)
class Storage:
    class_name: str
    values: np.ndarray


@dataclass(eq=False)
class Function:
    """A function with bytecode that would fail loudly if anything tried to run it."""

    kind: int = 8
    upvalues: Any = None


class Writer:
    def __init__(self, long_bytes: int = 8, versioned: bool = True, cuda: bool = False) -> None:
        self.content = bytearray()
        self.long = "<i8" if long_bytes == 8 else "<i4"
        self.versioned = versioned
        self.cuda = cuda
        self.indices: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no id comes twice

    def int(self, *values: int) -> None:
        self.content += struct.pack(f"<{len(values)}i", *values)

    def longs(self, *values: int) -> None:
        self.content += np.array(values, self.long).tobytes()

    def text(self, text: str) -> None:
        self.int(len(text))
        self.content += text.encode("latin-1")

    def start(self, kind: int, value: Any) -> bool:
        """Writes the type and the index; False if the value was written before."""
        known = id(value) in self.indices
        self.kept.append(value)
        self.int(kind, self.indices.setdefault(id(value), len(self.indices) + 1))
        return not known

    def class_name(self, name: str, version: int | None = 1) -> None:
        if version is not None and self.versioned:
            self.text(f"V {version}")
        self.text(name)

    def write(self, value: Any) -> Writer:
        if value is None:
            self.int(0)
        elif isinstance(value, bool):
            self.int(5, int(value))
        elif isinstance(value, int | float):
            self.int(1)
            self.content += struct.pack("<d", value)
        elif isinstance(value, str):
            self.int(2)
            self.text(value)
        else:
            {dict: self.table, list: self.list, Obj: self.object, np.ndarray: self.array, View: self.view,
             Storage: self.storage, Function: self.function}[type(value)](value)  # fmt: skip
        return self

    def table(self, table: dict) -> None:
        if self.start(3, table):
            self.int(len(table))
            for key, value in table.items():
                self.write(key).write(value)

    def list(self, values: list) -> None:
        self.table({float(number): value for number, value in enumerate(values, 1)})

    def object(self, value: Obj) -> None:
        if self.start(4, value):
            self.class_name(value.class_name, value.version)
            self.write(value.fields)

    def array(self, array: np.ndarray) -> None:
        kind = TENSORS[array.dtype.str[1:]]
        kind = "Cuda" if self.cuda and kind == "Float" else kind
        strides = tuple(step // array.itemsize for step in array.strides)
        self.view(View(array.ravel(), array.shape, strides, class_name=f"torch.{kind}Tensor"))

    def view(self, tensor: View) -> None:
        if self.start(4, tensor):
            self.class_name(tensor.class_name)
            self.int(len(tensor.shape))
            self.longs(*tensor.shape, *tensor.strides, tensor.first)
            key = self.indices.get(id(tensor.storage))
            self.kept.append(tensor.storage)
            self.int(4, self.indices.setdefault(id(tensor.storage), len(self.indices) + 1))
            if key is None:
                self.class_name(tensor.class_name.replace("Tensor", "Storage"))
                self.longs(tensor.storage.size)
                self.content += tensor.storage.tobytes()

    def storage(self, storage: Storage) -> None:
        if self.start(4, storage):
            self.class_name(storage.class_name)
            self.longs(storage.values.size)
            values = storage.values.astype(self.long) if "Long" in storage.class_name else storage.values
            self.content += values.tobytes()

    def function(self, function: Function) -> None:
        if function.kind == 6:
            self.int(6)
        elif not self.start(function.kind, function):
            return
        self.text("\x1bLua not to be run")
        self.write(function.upvalues or [])


def write_t7(value: Any, **options: Any) -> bytes:
    return bytes(Writer(**options).write(value).content)


def sizes(*values: int) -> Storage:
    return Storage("torch.LongStorage", np.array(values, np.int64))
