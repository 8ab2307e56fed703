"""The main path: model + window -> Graph -> Plan -> DenseModel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn
from torch.export import ExportedProgram

from fullyconv.analyze import Plan, make_plan
from fullyconv.analyze.spreading import APPROXIMATIONS
from fullyconv.capture.agreement import check_agreement
from fullyconv.capture.batching import MIXES_BATCH, counts_batch, mixes_batch
from fullyconv.capture.export import find_input
from fullyconv.capture.model_file import load_model_file
from fullyconv.capture.onnx_model import Layout, OnnxModel, is_onnx, load_onnx
from fullyconv.capture.torch_export import CapturedModel, capture_on, free_batch
from fullyconv.card import Border, ModelCard, check_border
from fullyconv.errors import FollowError, ModelError, OptionError
from fullyconv.graph import Pair
from fullyconv.grid import format_size
from fullyconv.rewrite.asked import Asked, read_pair
from fullyconv.rewrite.crops import make_crop_module
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.report import make_crop_report, make_report
from fullyconv.rewrite.torch_apply import apply_plan

Model = nn.Module | ExportedProgram | OnnxModel | str | Path


def convert(  # noqa: PLR0913  every option is one a user names
    model: Model,
    window: Pair | None = None,
    *,
    channels: int | None = None,
    card: ModelCard | None = None,
    stride: Pair | None = None,
    windowed_from: str | None = None,
    border: Border = "image",
    approximate: Iterable[str] | Literal["all"] = (),
    bind: Mapping[str, Any] | None = None,
    layout: Layout | None = None,
) -> DenseModel:
    """Returns a fully convolutional network that equals the classifier at every window of an image.

    The classifier is neither retrained nor changed. What cannot be convolutional runs on windows of the last
    plain map (tier 2); `report` says what and why. A classifier that cannot be followed, because its forward decides
    by values say, runs itself on crops, half a window apart where no stride is given; such a network cannot be saved.

    Args:
        model: a module that takes `(N, C, height, width)`, a program of torch.export, or the path of a `.pt2`, of an
            `.onnx`, which `load_onnx` may have opened, or of a `.t7` of Torch7.
        window: the crop size that it was trained on, `(height, width)` in pixels; not needed where the card of
            a `.pt2` says it.
        channels: C; found by the first layer and by trying where it is None.
        card: classes and preprocessing; taken from the `.pt2` where it has one.
        stride: pixels between neighbouring scores `(sy, sx)`; the network's own where None. Multiples of it leave
            cells out; what its strides divide into makes the grid finer, as `DenseModel.refine` does.
        windowed_from: a layer of the model: it and what follows run on windows, so that padding from there on is
            the crop's own; "image" for exact crops.
        border: where padding is seen: "image", the image's border; "first-order", the window's border to first
            order, from bands; "window", exactly, each window run by itself. A network that does not pad stays as
            it is. `DenseModel.with_border` changes it later.
        approximate: operations over the whole window that may be replaced by local ones, so that the network
            stays convolutional: "squeeze-excitation" (gates), "spatial-norm", or "all". The scores then equal
            the classifier's on images of one window only; `verify` measures how far they are elsewhere.
        bind: for an `.onnx`: values for inputs beside the image, by name.
        layout: for an `.onnx`: "nchw" or "nhwc", how the file has its images; the dense network takes `(N, C, H, W)`.

    Raises:
        ModelError: the file is of another kind, carries code or layers that are not known; weights are NaN or
            infinite.
        CaptureError: the model does not run on the window; carries its own message.
        OptionError: no window, or one that makes no sense; a stride or a layer that the network does not have.
    """
    check_border(border)
    if channels is not None and channels < 1:
        raise OptionError(f"channels: expected at least 1, got {channels}")
    pixels = None if stride is None else read_pair("stride", "(y, x)", stride)
    asked = Asked(pixels, windowed_from, _read_approximations(approximate))
    if isinstance(model, OnnxModel) or is_onnx(model):
        from fullyconv.rewrite.onnx_conversion import convert_onnx

        size = None if window is None else _check_window(window, card)
        source = model if isinstance(model, OnnxModel) else load_onnx(Path(str(model)), bind, layout)
        return convert_onnx(source, size, channels, card, asked).with_border(border)
    if bind or layout:
        raise OptionError("bind and layout: expected an .onnx file, which these are for; leave them out")
    module, own_card = load_module(model)
    card = card or own_card
    window = _check_window(window, card)
    channels = channels or (card.channels if card else None)
    image = find_input(module, window, channels)
    try:
        captured = capture_on(module, image)
        run = check_agreement(captured, module)
    except FollowError as error:
        crops = _plan_crops(asked, window, str(error), alone=error.reads_values)
        return build_crops(module, image, card, crops).with_border(border)
    plan = make_plan(captured.graph, stride=asked.stride, windowed_from=windowed_from, approximate=asked.approximate)
    if mixes_batch(module, image) if plan.windowed else counts_batch(module, run):
        crops = _plan_crops(replace(asked, stride=plan.grid.stride_px), window, MIXES_BATCH, alone=True)
        return build_crops(module, image, card, crops).with_border(border)
    if plan.windowed:
        captured = free_batch(captured, module)
    dense = build_dense(plan, captured, card).with_border(border)
    return dense.refine(asked.stride) if asked.stride else dense


def load_module(model: Model) -> tuple[nn.Module, ModelCard | None]:
    """Returns the module of a model in any accepted form, and its card where the file has one.

    Raises:
        ModelError: the file cannot be used, or it is something else.
    """
    if isinstance(model, str | Path):
        return load_model_file(Path(model))
    if isinstance(model, ExportedProgram):
        return model.module(check_guards=False), None
    if isinstance(model, nn.Module):
        return model, None
    raise ModelError(
        f"model: expected a torch.nn.Module, a torch.export program or the path of a .pt2 or .t7, got {type(model)}"
    )


def build_crops(module: nn.Module, image: Tensor, card: ModelCard | None, crops: Crops) -> DenseModel:
    """Returns the classifier itself, a copy of it, on crops of the image.

    Args:
        module: is not changed.
        image: random windows that it runs on, `(B, C, height, width)`.
        card: classes and preprocessing, where they are known.
        crops: where, and why.

    Raises:
        CaptureError: its outputs are no scores of the windows.
        ModelError: it cannot be copied.
    """
    crop_module = make_crop_module(module, image, crops.stride, alone=crops.alone)
    grid = crop_module.layout.grid
    card = card or ModelCard(grid.window_px, image.shape[1])
    card = replace(card, window=grid.window_px, channels=image.shape[1], border="image")
    return DenseModel(grid, card, make_crop_report(crops.reason), crop_module)


def build_dense(plan: Plan, captured: CapturedModel, card: ModelCard | None) -> DenseModel:
    """Returns the dense network that a plan describes."""
    dense = apply_plan(plan, captured)
    module = DenseModule(dense.program, dense.weights, dense.parameters)
    channels = captured.graph.image.shape[1]
    card = card or ModelCard(plan.grid.window_px, channels)
    activation = plan.outputs[0].activation
    card = replace(card, window=plan.grid.window_px, channels=channels, activation=activation, border="image")
    return DenseModel(plan.grid, card, make_report(plan), module, plan.margins_px, plan.feature_maps)


@dataclass(frozen=True, slots=True)
class Crops:
    """How a classifier runs on crops, and why.

    Attributes:
        stride: pixels between neighbouring windows.
        reason: why it is not taken apart.
        alone: whether each window must be run by itself; otherwise that is found out.
    """

    stride: Pair
    reason: str
    alone: bool


def _plan_crops(asked: Asked, window: Pair, reason: str, *, alone: bool) -> Crops:
    """Returns crops as asked for; half a window apart, because the network's own stride is not known.

    Raises:
        OptionError: something was asked for that needs the network taken apart.
    """
    if asked.approximate:
        raise OptionError(f"approximate: nothing in this model can be replaced, because {reason}")
    if asked.windowed_from not in (None, "image"):
        raise OptionError(f"windowed_from {asked.windowed_from!r}: expected image for this model, because {reason}")
    stride = asked.stride or (max(1, window[0] // 2), max(1, window[1] // 2))
    if min(stride) < 1:
        raise OptionError(f"stride: expected at least 1 pixel, got {format_size(stride)}")
    return Crops(stride, reason, alone)


def _read_approximations(names: Iterable[str]) -> frozenset[str]:
    if names == "all":
        return frozenset(APPROXIMATIONS)
    known = ", ".join(APPROXIMATIONS)
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise OptionError(f"approximate: expected all, or some of {known} in a list; got {names}")
    listed = tuple(names)
    if not set(listed) <= set(APPROXIMATIONS):
        raise OptionError(f"approximate: expected all, or some of {known}; got {', '.join(map(str, listed))}")
    return frozenset(listed)


def _check_window(window: Pair | None, card: ModelCard | None) -> Pair:
    if window is None:
        if card is None:
            raise OptionError("window: expected (height, width) of the crops the model was trained on; pass it")
        return card.window
    sizes = read_pair("window", "(height, width)", window)
    if min(sizes) < 1:
        raise OptionError(f"window: expected at least 1 pixel, got {window}")
    return sizes
