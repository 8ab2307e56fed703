"""The values of a binary `.t7` file, as torch.save of Torch7 wrote them.

The format (torch7, doc/serialization.md and File.lua): a type number, then the value. Tables, objects and functions
carry an index; where an index comes a second time, it stands for the same value. An object has a version `V n` (files
from before versions have none), its class, and then one table with its fields, or what its class writes: tensors and
storages write numbers. The bytecode of functions is passed over: nothing in a file is ever run.

Written here and not taken from the torchfile package, which trusts what it reads: strides that leave the storage
read foreign memory there, and sizes are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fullyconv.capture.torch7.binary import STORAGE_TYPES, TENSOR_TYPES, ByteSource, FormatError
from fullyconv.capture.torch7.values import LuaFunction, Storage, StoredTensor, TorchObject

_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = range(6)
_PLAIN_FUNCTION, _OLD_FUNCTION, _FUNCTION = 6, 7, 8

# A layer in a container is four levels further in; networks have fewer than ten containers in each other.
_DEEPEST = 200
_MOST_AXES = 64
_NO_TABLES = ("torch.", "tds.")  # classes of C code, which write themselves
_VERSION = re.compile(r"V (\d{1,9}(?:\.\d{1,9})?)")
_CLASS_NAME = re.compile(r"[A-Za-z_][\w.]{0,99}")


def read_values(content: bytes) -> Any:
    """Returns the one value of a `.t7` file: see `values` for what becomes what.

    The file does not say how wide the writer's `long` was. On 64-bit systems other than Windows it had 8 bytes,
    elsewhere 4; a file with tensors reads to its end with one of the two only.

    Raises:
        FormatError: it is no such file, or it is damaged or longer than its value.
    """
    if content[:1].isdigit() and content[1:2] in (b"\n", b"\r"):
        raise FormatError("it is in Torch7's text format; save it in Torch7's binary format")
    failures = []
    for long_bytes in (8, 4):
        source = ByteSource(content, long_bytes)
        try:
            return _read_whole(source)
        except FormatError as error:
            failures.append((source.position, error))
    raise max(failures, key=lambda failure: failure[0])[1]


def _read_whole(source: ByteSource) -> Any:
    value = _Reader(source).read()
    if source.left:
        raise FormatError(f"byte {source.position}: {source.left} bytes follow the value")
    return value


class _Reader:
    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._known: dict[int, Any] = {}
        self._classes: list[str] = []
        self._depth = 0
        self._readers: dict[int, Callable[[], Any]] = {
            _NIL: lambda: None,
            _NUMBER: source.take_double,
            _STRING: source.take_text,
            _BOOLEAN: lambda: source.take_int() == 1,
            _TABLE: self._read_table,
            _OBJECT: self._read_object,
            _PLAIN_FUNCTION: self._read_function,
            _OLD_FUNCTION: self._read_numbered_function,
            _FUNCTION: self._read_numbered_function,
        }

    def read(self) -> Any:
        """Returns the next value."""
        kind = self._source.take_int()
        if kind not in self._readers:
            raise FormatError(f"byte {self._source.position - 4}: no type has the number {kind}{self._place()}")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise FormatError(f"values lie more than {_DEEPEST} deep in each other{self._place()}")
        value = self._readers[kind]()
        self._depth -= 1
        return value

    def _place(self) -> str:
        return f" (inside {self._classes[-1]})" if self._classes else ""

    def _read_table(self) -> Any:
        index = self._source.take_int()
        if index in self._known:
            return self._known[index]
        table: dict[Any, Any] = {}
        self._known[index] = table
        count = self._source.take_int()
        self._source.check_room(count, 8, "entries of a table")
        for _ in range(count):
            key, value = self.read(), self.read()
            if isinstance(key, str | float | bool):  # nothing in a network is found under any other key
                table[key] = value
        return table

    def _read_object(self) -> Any:
        index = self._source.take_int()
        if index in self._known:
            return self._known[index]
        version, class_name = self._read_class()
        self._classes.append(class_name)
        if class_name in STORAGE_TYPES:
            self._known[index] = self._source.take_storage(class_name)
        elif class_name in TENSOR_TYPES:
            self._known[index] = self._read_tensor()
        else:
            self._read_fields(index, class_name, version)
        self._classes.pop()
        return self._known[index]

    def _read_class(self) -> tuple[float, str]:
        text = self._source.take_text()
        version = _VERSION.fullmatch(text)
        class_name = self._source.take_text() if version else text
        if not _CLASS_NAME.fullmatch(class_name):
            raise FormatError(f"byte {self._source.position}: {class_name[:20]!r} is no class{self._place()}")
        return float(version[1]) if version else 0, class_name

    def _read_fields(self, index: int, class_name: str, version: float) -> None:
        found = self._known[index] = TorchObject(class_name, version)
        fields = None if class_name.startswith(_NO_TABLES) else self.read()
        if not isinstance(fields, dict):
            raise FormatError(f"what {class_name} writes is not known, only classes that are tables can be read")
        found.fields.update(fields)

    def _read_tensor(self) -> StoredTensor:
        rank = self._source.take_int()
        if not 0 <= rank <= _MOST_AXES:
            raise FormatError(f"byte {self._source.position}: a tensor with {rank} axes{self._place()}")
        shape, strides = self._source.take_longs(rank), self._source.take_longs(rank)
        (first,) = self._source.take_longs(1)
        storage = self.read()
        if not isinstance(storage, Storage | None):
            raise FormatError(f"byte {self._source.position}: a tensor without a storage{self._place()}")
        try:  # a tensor without elements may begin anywhere
            return StoredTensor(shape, strides, max(first - 1, 0) if not rank else first - 1, storage)
        except ValueError as error:
            raise FormatError(f"byte {self._source.position}: {error}{self._place()}") from None

    def _read_function(self) -> LuaFunction:
        self._source.skip(self._source.take_int(), "a function")
        self.read()  # the values that it closes over
        return LuaFunction()

    def _read_numbered_function(self) -> Any:
        index = self._source.take_int()
        if index not in self._known:
            self._known[index] = LuaFunction()
            self._read_function()
        return self._known[index]
