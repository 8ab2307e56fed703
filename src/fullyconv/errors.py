"""One tree of exceptions; the command line turns each into one line on stderr and exit code 2.

    FullyconvError
    ├── ImageError          an image cannot be read, or does not suit the network
    │   └── RegionError     a part of an image cannot be read; the rest of it may be fine
    ├── ModelError          a model file or a module cannot be used as it is
    │   └── CaptureError    the model itself fails when it is run at the window
    │       └── FollowError the model runs, but what it does cannot be followed into a graph
    ├── DataError           a folder of crops or of negatives does not hold what training needs
    ├── OptionError         an argument, or a combination of arguments, has no meaning
    ├── OutputError         a result cannot be written where it was asked for
    └── MissingExtraError   an optional dependency is not installed

A message says what was expected, what came and what to do.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class FullyconvError(Exception):
    """The base of every error that fullyconv raises on purpose."""


class ImageError(FullyconvError):
    """An image cannot be read, or does not suit the network."""


class RegionError(ImageError):
    """A part of an image cannot be read, for it is damaged or missing; the rest of it may be fine."""


class ModelError(FullyconvError):
    """A model file or a module cannot be used as it is."""


class CaptureError(ModelError):
    """The model itself fails when it is run at the window; carries the model's own message."""


class FollowError(CaptureError):
    """The model runs at the window, but what its forward does cannot be followed into a graph.

    Attributes:
        reads_values: whether it is known that the values of the images decide what the forward does.
    """

    def __init__(self, message: str, *, reads_values: bool = False) -> None:
        super().__init__(message)
        self.reads_values = reads_values


class DataError(FullyconvError):
    """A folder of crops or of negatives does not hold what training needs."""


class OptionError(FullyconvError):
    """An argument, or a combination of arguments, has no meaning."""


class OutputError(FullyconvError):
    """A result cannot be written where it was asked for."""


class MissingExtraError(FullyconvError):
    """An optional dependency is not installed."""


def require_extra(module: str, extra: str) -> ModuleType:
    """Returns the imported `module`, which the optional dependencies `extra` bring.

    Raises:
        MissingExtraError: the module is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".", maxsplit=1)[0]:
            raise
        raise MissingExtraError(
            f"{module} is not installed; it comes with the extra {extra!r}: pip install 'fullyconv[{extra}]'"
        ) from None
