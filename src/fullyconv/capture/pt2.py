"""torch.export files (`.pt2`), read without running any code that they carry.

`torch.export.load` falls back to unrestricted pickle for some members of the archive and evaluates symbolic
sizes as expressions. So an archive is checked first, member by member, against what `torch.export.save`
writes for plain networks; anything else is refused.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from fullyconv.atomic import write_whole
from fullyconv.card import ModelCard
from fullyconv.errors import ModelError

CARD_FILE = "fullyconv_card.json"

# Members of the archive below its root folder, as torch 2.8 to 2.13 write them.
_EXPECTED_MEMBERS = re.compile(
    r"data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt|models/model\.json|extra/[\w.]+"
    r"|archive_format|archive_version|byteorder|version|\.data/[\w]+"
)
# Sizes are written as sympy's srepr: calls of these names on symbols s0, u0 and whole numbers.
_SIZE_NAMES = {
    *("Symbol", "Integer", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "floor", "ceiling"),
    *("FloorDiv", "CeilDiv", "CleanDiv", "PythonMod", "ModularIndexing", "Eq", "Ne", "And", "Or", "Not"),
    *("positive", "nonnegative", "integer", "True", "False", "oo", "int_oo"),
}
_SIZE_SYMBOL = re.compile(r"Symbol\('([su]\d+)'")
_SIZE_CHARACTERS = re.compile(r"[\w\s+\-*/(),.<>=!]*")

# An image and its network's structure need megabytes of sample input at the most.
_SAMPLE_INPUT_LIMIT_BYTES = 1 << 30


def save_classifier(module: nn.Module, card: ModelCard, path: Path) -> None:
    """Writes `module` as a torch.export file for any batch size, with `card` inside.

    Args:
        module: takes `(N, C, height, width)` floats of the card's window; its training flag is not changed.
        card: saved beside the network; `load_classifier` gives it back.
        path: appears whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    from fullyconv.capture.module import evaluating, read_dtype

    image = torch.zeros(2, card.channels, *card.window, dtype=read_dtype(module))
    with evaluating(module), torch.no_grad():
        batch = {0: torch.export.Dim.AUTO}
        program = torch.export.export(module, (image,), dynamic_shapes=(batch,), strict=False)
    save_program(program, path, {CARD_FILE: TypeAdapter(ModelCard).dump_json(card, indent=2).decode()})


def save_program(program: torch.export.ExportedProgram, path: Path, extra_files: dict[str, str]) -> None:
    """Writes a torch.export file with texts inside, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with write_whole(path) as part, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own pytree deprecations
        stream = io.BytesIO()
        torch.export.save(program, stream, extra_files=extra_files)
        part.write_bytes(stream.getbuffer())


def load_classifier(path: Path) -> tuple[nn.Module, ModelCard | None]:
    """Returns the network of a `.pt2` file, and its card where fullyconv wrote one.

    Raises:
        ModelError: there is no such file, it is no torch.export file, or it carries code.
    """
    program, extra_files = load_program(path)
    text = extra_files.get(CARD_FILE)
    try:
        card = TypeAdapter(ModelCard).validate_json(text) if text else None
    except ValidationError as error:
        raise ModelError(f"{path}: the card inside is damaged ({error.errors()[0]['msg']})") from None
    return program.module(check_guards=False), card


def load_program(path: Path) -> tuple[torch.export.ExportedProgram, dict[str, str]]:
    """Returns the program and the texts of a `.pt2` file; no code from the file runs.

    Raises:
        ModelError: there is no such file, it is no torch.export file, or it carries code.
    """
    check_archive(path)
    extra_files = {CARD_FILE: ""}  # torch.export.load fills only a dictionary that is not empty
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            program = torch.export.load(io.BytesIO(path.read_bytes()), extra_files=extra_files)
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{path}: torch {torch.__version__} cannot read this program: {reason[0]}") from error
    return program, extra_files


def check_archive(path: Path) -> None:
    """Returns if `torch.export.load` would read the file without unpickling code or evaluating expressions.

    Raises:
        ModelError: there is no such file, it is no torch.export file, or it carries code.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; expected a model saved by torch.export.save or fullyconv")
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
            _check_members(path, archive)
    except (zipfile.BadZipFile, ValueError, KeyError, OSError, EOFError) as error:
        raise ModelError(
            f"{path}: expected a torch.export file (.pt2), got something else or a truncated file; "
            "save the model with torch.export.save(torch.export.export(model, (example,)), path)"
        ) from error


def _name_kind(members: Collection[str]) -> str:
    """Returns what another archive is, and what to do with it."""
    if "serialized_exported_program.json" in members:
        return "an archive written by torch before 2.8; export the model anew"
    if any(member.startswith("code/") for member in members):
        return "TorchScript, which is code; if you trust it, give what torch.jit.load returns, as module:factory"
    if "data.pkl" in members:
        return "what torch.save wrote; give the network as module:factory, and weights by --weights"
    return "an archive of another kind"


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    members = {name.split("/", maxsplit=1)[-1]: name for name in archive.namelist()}
    if "models/model.json" not in members:
        raise ModelError(f"{path}: expected a torch.export file of torch 2.8 or newer, got {_name_kind(members)}")
    strange = sorted(member for member in members if not _EXPECTED_MEMBERS.fullmatch(member))
    if strange:
        raise ModelError(f"{path}: refused, because the file carries code or objects ({strange[0]})")
    for kind in ("weights", "constants"):
        config = json.loads(archive.read(members[f"data/{kind}/model_{kind}_config.json"]))
        pickled = [name for name, payload in config["config"].items() if payload.get("use_pickle")]
        if pickled:
            raise ModelError(f"{path}: refused, because {pickled[0]} is a pickle, which can carry code")
    for expression in _find_expressions(json.loads(archive.read(members["models/model.json"]))):
        plain = _SIZE_SYMBOL.sub(r"Symbol(\1", expression).replace("torch.utils._sympy.functions.", "")
        unknown = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"\b[su]\d+\b", "", plain))) - _SIZE_NAMES
        if unknown or not _SIZE_CHARACTERS.fullmatch(plain):
            raise ModelError(f"{path}: refused, because the size {expression!r} is not plain arithmetic")
    _check_sample_inputs(path, archive, members["data/sample_inputs/model.pt"])


def _check_sample_inputs(path: Path, archive: zipfile.ZipFile, member: str) -> None:
    if archive.getinfo(member).file_size > _SAMPLE_INPUT_LIMIT_BYTES:
        raise ModelError(f"{path}: refused, because its sample inputs are larger than 1 GB")
    content = archive.read(member)
    if not content:
        return
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception:
        raise ModelError(f"{path}: refused, because its sample inputs are a pickle that carries code") from None


def _find_expressions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "expr_str" and isinstance(inner, str):
                yield inner
            else:
                yield from _find_expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _find_expressions(inner)
