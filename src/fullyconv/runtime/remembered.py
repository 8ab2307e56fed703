"""Remembers which runtime was fastest, in a small file of the user's cache directory.

It may be deleted at any time, and whatever is wrong with it, the runtimes are measured again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError

from fullyconv.atomic import write_whole
from fullyconv.errors import OutputError
from fullyconv.runtime.choice import Choice

# What a measurement holds for, in their versions.
_LIBRARIES = ("fullyconv", "torch", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino")

# So many choices are remembered, the latest ones.
_MOST = 500


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a choice depends on; the machine and its libraries are added.

    Attributes:
        network: a fingerprint of it.
        size_class: of images.
        threads: of the CPU.
        precision: exact or fast.
        device: "cpu", "cuda" or "cuda:N".
        max_error: what is allowed.
        compiles: whether torch.compile was tried.
    """

    network: str
    size_class: int
    threads: int
    precision: str
    device: str
    max_error: float
    compiles: bool


def recall(circumstances: Circumstances) -> Choice | None:
    """Returns what was chosen in these circumstances, None where nothing was or the file is of no use."""
    try:
        choice: Choice = TypeAdapter(Choice).validate_json(json.dumps(_read()[_make_key(circumstances)]))
    except (KeyError, ValidationError):
        return None
    return replace(choice, is_remembered=True)


def remember(circumstances: Circumstances, choice: Choice) -> None:
    """Writes a choice down; where that cannot be done, it is measured again next time."""
    known = _read()
    key = _make_key(circumstances)
    known.pop(key, None)
    known[key] = TypeAdapter(Choice).dump_python(choice, mode="json")
    kept = dict(list(known.items())[-_MOST:])
    with suppress(OutputError, RuntimeError), write_whole(find_file()) as part:
        part.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def find_file() -> Path:
    """Returns where choices are remembered."""
    told = os.environ.get("XDG_CACHE_HOME", "")
    # By the XDG specification, paths that are not absolute are to be passed over.
    folder = Path(told) if Path(told).is_absolute() else Path.home() / ".cache"
    return folder / "fullyconv" / "runtimes.json"


def _read() -> dict[str, object]:
    try:
        content = json.loads(find_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):  # the last where nobody knows the user's home, or it nests too deep
        return {}
    return content if isinstance(content, dict) else {}


def _make_key(circumstances: Circumstances) -> str:
    cuda = torch.cuda.get_device_name(circumstances.device) if circumstances.device != "cpu" else ""
    machine = {"machine": platform.machine(), "processor": _name_processor(), "cores": os.cpu_count(), "cuda": cuda}
    told = json.dumps({**asdict(circumstances), **machine, **_list_versions()}, sort_keys=True)
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _list_versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


@cache
def _name_processor() -> str:
    """Returns the processor's name; Linux tells it in one place alone."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "flags", "Features"))]
    return " ".join(dict.fromkeys(names)) or platform.processor()
