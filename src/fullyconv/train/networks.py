"""The built-in networks, `compact` and `worked`: unpadded, so a large image gives the scores of its crops.

A network takes `(N, C, H, W)` and returns logits `(N, K)`; `append_activation` adds what a model ends in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from fullyconv.card import Activation
from fullyconv.errors import OptionError
from fullyconv.grid import Pair, format_size
from fullyconv.train.stages import Stage, plan_stages, reduce_window

Factory = Callable[[Pair, int, int], nn.Module]

HIDDEN_UNITS = 64
WORKED_STRIDE = 32
WORKED_UNITS = 4
# (channels, kernel = stride) of each layer: 4 * 2 * 2 * 2 = 32. Wide enough that arithmetic, and not moving
# memory, decides how long a run takes.
WORKED_LAYERS = ((32, 4), (64, 2), (128, 2), (256, 2))


def compact(window: Pair, channels: int, outputs: int) -> nn.Sequential:
    """Returns a small network for any window: convolutions without padding, then two fully connected layers.

    Args:
        window: `(height, width)` in pixels, at least 8 a side; it decides how many stages there are.
        channels: channels of the input.
        outputs: logits it returns.

    Returns:
        A module from `(N, channels, height, width)` to `(N, outputs)`.

    Raises:
        OptionError: the window is too small.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, stage in enumerate(plan_stages(window), start=1):
        layers[f"stage{index}"] = _build_stage(stage, channels)
        channels = stage.channels
    rows, columns = reduce_window(window)
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = nn.Linear(channels * rows * columns, HIDDEN_UNITS)
    layers["hidden_relu"] = nn.ReLU()
    layers["dropout"] = nn.Dropout(0.3)
    layers["output"] = nn.Linear(HIDDEN_UNITS, outputs)
    return nn.Sequential(layers)


def worked(window: Pair, channels: int, outputs: int) -> nn.Sequential:
    """Returns the network of the worked example: it reduces by exactly 32; then 4 units, then the outputs.

    A 64x128 window has a feature map 2 wide and 4 high; on a 1024x512 image the map is 32 by 16, which gives
    31 * 13 = 403 scores. Kernels equal strides, so neighbouring cells share no pixel.

    Args:
        window: `(height, width)` in pixels, multiples of 32.
        channels: channels of the input.
        outputs: logits it returns.

    Returns:
        A module from `(N, channels, height, width)` to `(N, outputs)`.

    Raises:
        OptionError: a side of the window is not a multiple of 32.
    """
    if any(side % WORKED_STRIDE or side < WORKED_STRIDE for side in window):
        raise OptionError(
            f"network worked: expected a window of multiples of {WORKED_STRIDE} pixels, such as 64x128, "
            f"got {format_size(window)}; choose another window, or --network compact"
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (width, stride) in enumerate(WORKED_LAYERS, start=1):
        layers[f"conv{index}"] = nn.Conv2d(channels, width, stride, stride=stride)
        layers[f"relu{index}"] = nn.ReLU()
        channels = width
    cells = (window[0] // WORKED_STRIDE) * (window[1] // WORKED_STRIDE)
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = nn.Linear(channels * cells, WORKED_UNITS)
    layers["hidden_relu"] = nn.ReLU()
    layers["output"] = nn.Linear(WORKED_UNITS, outputs)
    return nn.Sequential(layers)


BUILT_IN: dict[str, Factory] = {"compact": compact, "worked": worked}


def append_activation(network: nn.Module, activation: Activation) -> nn.Sequential:
    """Returns a network that ends in `activation`; the weights are shared with `network`, not copied.

    Args:
        network: returns logits `(N, K)`.
        activation: "sigmoid" for each logit, "softmax" over the K of them, or "none".

    Returns:
        A module from `(N, C, H, W)` to `(N, K)`.
    """
    named = network.named_children() if isinstance(network, nn.Sequential) else [("network", network)]
    layers: OrderedDict[str, nn.Module] = OrderedDict(named)
    if activation == "sigmoid":
        layers["sigmoid"] = nn.Sigmoid()
    elif activation == "softmax":
        layers["softmax"] = nn.Softmax(dim=1)
    return nn.Sequential(layers)


def _build_stage(stage: Stage, channels: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        # The bias would be taken away again by the normalisation that follows.
        conv=nn.Conv2d(channels, stage.channels, stage.kernel, stride=stage.stride, bias=False),
        norm=nn.BatchNorm2d(stage.channels),
        relu=nn.ReLU(),
    )
    if stage.pool != (1, 1):
        layers["pool"] = nn.MaxPool2d(stage.pool)
    return nn.Sequential(layers)
