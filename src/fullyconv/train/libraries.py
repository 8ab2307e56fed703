"""The optional libraries of training, imported when needed and without their imports' own warnings."""

from __future__ import annotations

import warnings
from typing import Any

from fullyconv.errors import require_extra


def import_ignite(name: str) -> Any:
    """Returns the module `ignite.<name>`.

    Raises:
        MissingExtraError: pytorch-ignite is not installed.
    """
    return _import_quietly(f"ignite.{name}")


def import_kornia(name: str) -> Any:
    """Returns the module `kornia.<name>`.

    Raises:
        MissingExtraError: kornia is not installed.
    """
    return _import_quietly(f"kornia.{name}")


def _import_quietly(module: str) -> Any:
    # Their imports run code that newer torch versions call deprecated; a user can do nothing about it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return require_extra(module, "train")
