"""The file that lets an interrupted training go on: it knows what it belongs to, and holds no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fullyconv.atomic import write_whole
from fullyconv.errors import OptionError
from fullyconv.train.settings import TrainConfig

Description = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """A checkpoint beside the model file.

    Attributes:
        path: the model's path and `.checkpoint`.
        description: what the training depends on, by name; only the same description goes on.
    """

    path: Path
    description: Description

    def load(self) -> dict[str, Any] | None:
        """Returns what was saved last, or None if there is no checkpoint. No code in the file runs.

        Raises:
            OptionError: the file is damaged, or belongs to a training with other settings or data.
        """
        if not self.path.exists():
            return None
        content = self._read()
        saved = content["description"]
        names = sorted(name for name in {*saved, *self.description} if saved.get(name) != self.description.get(name))
        if names:
            raise OptionError(
                f"{self.path}: this checkpoint is of a training with other {', '.join(names)}; "
                "repeat the command it came from, or pass --restart to begin anew"
            )
        return content

    def save(self, content: Mapping[str, Any]) -> None:
        """Writes `content`, plain values and tensors, in place of what was saved before.

        Raises:
            OutputError: the file cannot be written.
        """
        with write_whole(self.path) as part:
            torch.save({"description": dict(self.description), **content}, part)

    def remove(self) -> None:
        """Removes the file, if it is there."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            if isinstance(content, dict) and isinstance(content.get("description"), dict):
                return content
        except Exception:  # whatever is wrong with the file, the way out is the same
            content = None
        raise OptionError(
            f"{self.path}: expected a checkpoint of fullyconv train, got another or a damaged file; "
            "pass --restart to begin anew"
        )


def describe_run(config: TrainConfig, crops: Iterable[Path], negatives: Iterable[Path]) -> dict[str, str]:
    """Returns what the weights depend on, by the name a person knows it by.

    Settings as text; files by a digest of their names and contents, so that a copied folder is the same.
    """
    settings = asdict(config)
    for name in ("crops", "negatives", "output", "restart"):
        del settings[name]
    settings |= settings.pop("fit") | settings.pop("mining")
    texts = {name: json.dumps(value) for name, value in settings.items()}
    return texts | {"crops": digest_files(crops), "negatives": digest_files(negatives)}


def digest_files(paths: Iterable[Path]) -> str:
    """Returns a SHA-256 over the last two parts of each path (class folder and file) and the contents."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(json.dumps([*path.parts[-2:], content]).encode())
    return digest.hexdigest()
