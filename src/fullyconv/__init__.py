"""Turns a classifier of fixed-size crops into an equivalent network for images of any size, and proves it.

The names below are the public ones. They load what they need when they are first used, so that
`import fullyconv` stays cheap and the command line answers at once.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fullyconv.card import ModelCard, Preprocessing
    from fullyconv.errors import (
        CaptureError,
        DataError,
        FollowError,
        FullyconvError,
        ImageError,
        MissingExtraError,
        ModelError,
        OptionError,
        OutputError,
        RegionError,
    )
    from fullyconv.grid import Grid
    from fullyconv.images import prepare
    from fullyconv.rewrite import ConversionReport, DenseModel, convert, load
    from fullyconv.verify import VerifyReport, verify

__all__ = [
    "CaptureError",
    "ConversionReport",
    "DataError",
    "DenseModel",
    "FollowError",
    "FullyconvError",
    "Grid",
    "ImageError",
    "MissingExtraError",
    "ModelCard",
    "ModelError",
    "OptionError",
    "OutputError",
    "Preprocessing",
    "RegionError",
    "VerifyReport",
    "__version__",
    "convert",
    "load",
    "prepare",
    "verify",
]

__version__ = "0.1.0"

_HOMES = {
    "fullyconv.card": ("ModelCard", "Preprocessing"),
    "fullyconv.grid": ("Grid",),
    "fullyconv.images": ("prepare",),
    "fullyconv.rewrite": ("ConversionReport", "DenseModel", "convert", "load"),
    "fullyconv.verify": ("VerifyReport", "verify"),
    "fullyconv.errors": tuple(name for name in __all__ if name.endswith("Error")),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


class _Package(ModuleType):
    """Keeps the function `verify` in place when the folder of that name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Returns a public name, importing its module; later look-ups find it without this function."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'fullyconv' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Returns the public names."""
    return sorted({*globals(), *__all__})
