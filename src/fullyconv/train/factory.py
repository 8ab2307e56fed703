"""Networks by name: a built-in one, or `module:factory` from the user's own code."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fullyconv.errors import OptionError
from fullyconv.grid import Pair, format_size
from fullyconv.train.networks import BUILT_IN

ARGUMENTS = ("window", "channels", "outputs")


def build_network(name: str, window: Pair, channels: int, outputs: int) -> nn.Module:
    """Returns a new network that maps `(N, channels, height, width)` to logits `(N, outputs)`.

    `module:factory` names a callable in a module that can be imported (the current folder is looked in
    first). It is called with `window` (height, width), `channels` and `outputs` if it takes arguments of
    these names or three positional ones, else without any; an `nn.Module` subclass is such a callable. Its
    network must not end in sigmoid or softmax: training works on logits, and the saved model gets the
    activation appended.

    Raises:
        OptionError: there is no such network, it cannot be built, or its output has another shape.
    """
    factory: Callable[..., Any] = BUILT_IN[name] if name in BUILT_IN else import_factory(name)
    network = _call_factory(factory, name, (window, channels, outputs))
    check_network(network, name, (window, channels, outputs))
    return network


def import_factory(name: str) -> Callable[..., Any]:
    """Returns the callable that `module:factory` names.

    Raises:
        OptionError: the text is not of that form, or the module or the callable is not there.
    """
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        known = ", ".join(sorted(BUILT_IN))
        raise OptionError(f"network: expected {known} or module:factory, got {name!r}")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        factory = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise OptionError(f"network {name}: cannot be imported ({error}); check the name") from error
    if not callable(factory):
        raise OptionError(f"network {name}: expected a callable, got {type(factory).__name__}")
    return factory  # type: ignore[no-any-return]


def check_network(network: nn.Module, name: str, wanted: tuple[Pair, int, int]) -> None:
    """Runs `network` once at the window and checks that it returns logits of the wanted shape.

    Raises:
        OptionError: it fails, returns another shape, or ends in sigmoid or softmax.
    """
    window, channels, outputs = wanted
    scores = _run_once(network, name, torch.rand(2, channels, *window))
    shape = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
    if shape != (2, outputs):
        raise OptionError(
            f"network {name}: expected logits of shape (2, {outputs}) for 2 crops of {format_size(window)} "
            f"with {channels} channels, got {shape}; let the factory take window, channels and outputs"
        )
    if isinstance([network, *network.modules()][-1], nn.Sigmoid | nn.Softmax | nn.LogSoftmax):
        raise OptionError(
            f"network {name}: expected logits, got a network that ends in an activation; "
            "take it away, the saved model gets its own"
        )


def _run_once(network: nn.Module, name: str, images: torch.Tensor) -> Any:
    was_training = network.training
    try:
        with torch.no_grad():
            return network.eval()(images)
    except Exception as error:  # the user's own code may raise anything
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise OptionError(
            f"network {name}: fails on crops of shape {tuple(images.shape)}: {reason[0]}; build it for this window"
        ) from error
    finally:
        network.train(was_training)


def _call_factory(factory: Callable[..., Any], name: str, wanted: tuple[Pair, int, int]) -> nn.Module:
    try:
        network = _choose_call(factory, wanted)()
    except OptionError:
        raise
    except Exception as error:  # the user's own code may raise anything
        raise OptionError(f"network {name}: cannot be built ({type(error).__name__}: {error})") from error
    if not isinstance(network, nn.Module):
        raise OptionError(f"network {name}: expected a torch.nn.Module, got {type(network).__name__}")
    return network


def _choose_call(factory: Callable[..., Any], wanted: tuple[Pair, int, int]) -> Callable[[], Any]:
    parameters = inspect.signature(factory).parameters.values()
    if {parameter.name for parameter in parameters} >= set(ARGUMENTS):
        return lambda: factory(**dict(zip(ARGUMENTS, wanted, strict=True)))
    positional = [parameter for parameter in parameters if _is_required_positional(parameter)]
    return (lambda: factory(*wanted)) if len(positional) == len(ARGUMENTS) else factory


def _is_required_positional(parameter: inspect.Parameter) -> bool:
    by_place = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return by_place and parameter.default is parameter.empty
