"""Numbers and text of a binary `.t7` file, little-endian, every size checked against what is left of the file."""

from __future__ import annotations

import struct

import numpy as np

from fullyconv.capture.torch7.values import Storage

# Number types by the names that Torch7 gives its tensors; CUDA tensors are saved like those of the CPU. `long` is as
# wide as on the machine that wrote the file.
_NUMBERS = {
    "Byte": "u1",
    "Char": "i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "long",
    "Float": "<f4",
    "Double": "<f8",
    "Cuda": "<f4",
}
STORAGE_TYPES = {f"torch.{name}Storage": dtype for name, dtype in _NUMBERS.items()} | {
    f"torch.Cuda{name}Storage": dtype for name, dtype in _NUMBERS.items() if name not in ("Float", "Cuda")
}
TENSOR_TYPES = {name.replace("Storage", "Tensor") for name in STORAGE_TYPES}


class FormatError(Exception):
    """The bytes are not what a `.t7` file has at this place; the message says what was found."""


class ByteSource:
    """The bytes of a file, taken from front to back.

    Attributes:
        position: how many bytes were taken.
    """

    def __init__(self, content: bytes, long_bytes: int) -> None:
        self.position = 0
        self._content = content
        self._long = "<i8" if long_bytes == 8 else "<i4"

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._content) - self.position

    def take_int(self) -> int:
        """Returns a 32-bit whole number."""
        return int(struct.unpack("<i", self.skip(4, "a number"))[0])

    def take_longs(self, count: int) -> tuple[int, ...]:
        """Returns whole numbers as wide as the writer's `long`."""
        width = int(self._long[-1])
        self.check_room(count, width, "sizes")
        return tuple(np.frombuffer(self.skip(count * width, "sizes"), self._long).tolist())

    def take_double(self) -> float:
        """Returns a 64-bit number."""
        return float(struct.unpack("<d", self.skip(8, "a number"))[0])

    def take_text(self) -> str:
        """Returns a text; Lua has bytes, so each byte becomes one character."""
        size = self.take_int()
        return self.skip(size, "a text").decode("latin-1")

    def take_storage(self, class_name: str) -> Storage:
        """Returns the numbers of a storage, without copying them."""
        dtype = np.dtype(STORAGE_TYPES[class_name].replace("long", self._long))
        (count,) = self.take_longs(1)
        self.check_room(count, dtype.itemsize, class_name)
        start = self.position
        self.position += count * dtype.itemsize
        return Storage(np.frombuffer(self._content, dtype, count, start) if count else np.zeros(0, dtype))

    def skip(self, size: int, what: str) -> bytes:
        """Returns the next bytes."""
        self.check_room(size, 1, what)
        start = self.position
        self.position += size
        return self._content[start : self.position]

    def check_room(self, count: int, width: int, what: str) -> None:
        """Returns if so many items of `width` bytes or more can follow.

        Raises:
            FormatError: the file is shorter.
        """
        if not 0 <= count <= self.left // width:
            raise FormatError(f"byte {self.position}: {count} for {what}, where {self.left} bytes are left")
