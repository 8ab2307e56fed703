"""What a command calls SOURCE: a `.pt2` or `.t7` file, or `module:factory` with its weights, becomes a module.

Nothing in a weights file is ever executed: `.safetensors` cannot hold code, and any other file is read with
`weights_only=True`, which refuses it.
"""

from __future__ import annotations

import importlib
import pickle
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fullyconv.capture.model_file import MODEL_SUFFIXES, load_model_file
from fullyconv.capture.module import check_weights
from fullyconv.capture.onnx_model import Layout, OnnxModel, is_onnx, load_onnx
from fullyconv.card import ModelCard
from fullyconv.errors import ModelError, OptionError

__all__ = ["fill_weights", "load_source", "load_weights", "open_source"]


def load_source(source: str, weights: Path | None = None) -> tuple[nn.Module, ModelCard | None]:
    """Returns the classifier that `source` names, in eval mode, and its card if it has one.

    Args:
        source: a `.pt2` or `.t7` file, or `module:factory`, where the factory (a function without arguments, a
            class, or a ready module) is importable from the current directory.
        weights: for `module:factory`, a `.safetensors` file or a weights-only `.pt` file; None keeps the
            weights that the factory gives.

    Raises:
        ModelError: the source or its weights cannot be read, do not fit each other, or are not finite.
        OptionError: `source` is neither, or a file that holds weights is given others.
    """
    if is_onnx(source):
        raise OptionError(f"{source}: expected the network in PyTorch, as a .pt2 file or module:factory, got ONNX")
    if source.lower().endswith(MODEL_SUFFIXES) or Path(source).is_file():
        if weights is not None:
            raise OptionError(f"{source}: such a file holds its own weights; leave out --weights")
        module, card = load_model_file(Path(source))
    elif ":" in source:
        module, card = _make_module(source), None
        if weights is not None:
            fill_weights(module, load_weights(weights), weights)
    else:
        raise OptionError(f"expected a .pt2, .onnx or .t7 file or module:factory, got {source!r}, which is no file")
    check_weights(module)
    return module, card


def open_source(
    source: str, weights: Path | None = None, bind: Sequence[str] = (), layout: Layout | None = None
) -> tuple[nn.Module | OnnxModel, ModelCard | None]:
    """Returns the classifier that `source` names, an ONNX file included, and its card if it has one.

    Args:
        source: as for `load_source`, or an `.onnx` file.
        weights: as for `load_source`.
        bind: values for inputs of an `.onnx` file beside the image, as `name=value` or `name=a,b,c`.
        layout: of the images of an `.onnx` file, where it does not show.

    Raises:
        MissingExtraError: onnx, onnx-ir or onnxruntime is not installed.
        ModelError: the source or its weights cannot be used.
        OptionError: `source` is none of these, or is given what it has no use for.
    """
    if not is_onnx(source):
        if bind or layout:
            raise OptionError(f"{source}: --bind and --layout are for .onnx files; leave them out")
        return load_source(source, weights)
    if weights is not None:
        raise OptionError(f"{source}: an .onnx file holds its own weights; leave out --weights")
    return load_onnx(Path(source), dict(map(_read_binding, bind)), layout), None


def _read_binding(text: str) -> tuple[str, float | list[float]]:
    name, _, listed = text.rpartition("=")
    try:
        values = [float(value) for value in listed.split(",")]
    except ValueError:
        raise OptionError(
            "--bind: expected name=value with a number, such as keep=1, or several, such as mean=0.5,0.5,0.4; "
            f"got {text!r}"
        ) from None
    return name, values if len(values) > 1 else values[0]


def load_weights(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a `.safetensors` or a weights-only `.pt` file, by name; runs no code from it.

    A file that wraps them in one entry named `state_dict` is unwrapped.

    Raises:
        ModelError: the file is missing, damaged, holds code, or holds no mapping of names to tensors.
    """
    if not path.is_file():
        raise ModelError(f"{path}: expected a file of weights (.safetensors or .pt), found none")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_weights_only(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(
            f"{path}: expected names with their tensors, got {type(content).__name__} of other things; "
            "save module.state_dict()"
        )
    return dict(content)


def fill_weights(module: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    """Puts `weights` into `module`, which needs exactly these names and shapes.

    Raises:
        ModelError: names are missing or unknown, or a shape differs; the message names the first few.
    """
    own = module.state_dict()
    shapes = [
        f"{name} has the shape {tuple(weights[name].shape)} and not {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    problems = [
        *_list_some("missing", [name for name in own if name not in weights]),
        *_list_some("not in the network", [name for name in weights if name not in own]),
        *_list_some("of another shape", shapes),
    ]
    if problems:
        raise ModelError(f"{path}: the weights do not fit the network: {'; '.join(problems)}")
    module.load_state_dict(dict(weights))


def _make_module(source: str) -> nn.Module:
    made = _find_factory(source)
    if not isinstance(made, nn.Module):
        try:
            made = made()
        except Exception as error:
            raise ModelError(f"{source}: failed when called without arguments: {_describe(error)}") from error
    if not isinstance(made, nn.Module):
        raise ModelError(f"{source}: expected a torch.nn.Module, got {type(made).__name__}")
    return made.eval()


def _find_factory(source: str) -> Any:
    name, _, attribute = source.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(name)
    except Exception as error:  # the user's own module may fail in any way
        raise ModelError(f"{source}: module {name} cannot be imported: {_describe(error)}") from error
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ModelError(f"{source}: expected a function, a class or a module named {attribute}, found none")
    return found


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a whole .safetensors file: {_describe(error)}") from None


def _read_weights_only(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about pickle protocols of files that are refused anyway
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ModelError(
            f"{path}: expected tensors alone, got code, objects or a damaged file; none of it was run; "
            "save module.state_dict() and give the network as module:factory"
        ) from None
    except Exception as error:  # damaged files fail in any way
        raise ModelError(f"{path}: not a whole file of weights: {_describe(error)}") from None


def _list_some(label: str, names: list[str]) -> list[str]:
    more = f" and {len(names) - 3} others" if len(names) > 3 else ""
    return [f"{label}: {', '.join(names[:3])}{more}"] if names else []


def _describe(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
