"""Frozen values as JSON and back."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter


def dump_value(kind: Any, value: Any) -> Any:
    """Returns a value of a type as dicts, lists and numbers."""
    return TypeAdapter(kind).dump_python(value, mode="json")


def load_value(kind: Any, data: Any) -> Any:
    """Returns the value of a type that `dump_value` gave.

    Raises:
        ValidationError: it is none.
    """
    return TypeAdapter(kind).validate_json(json.dumps(data))
