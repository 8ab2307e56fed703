"""Graph -> Plan: one walk over the nodes finds the grid, a second one decides."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lcm

from fullyconv.analyze.build import Aim, Build
from fullyconv.analyze.factors import Factor, Kind
from fullyconv.analyze.fields import Field, Refusal, make_map_axes
from fullyconv.analyze.finish import finish_plan
from fullyconv.analyze.geometry import Line
from fullyconv.analyze.nominal import Nominal, follow, make_nominal
from fullyconv.analyze.plan import Plan
from fullyconv.analyze.rule import find_rule
from fullyconv.analyze.selection import Selection, select_parts
from fullyconv.analyze.spreading import find_spread
from fullyconv.errors import ModelError, OptionError
from fullyconv.graph import Graph, Node, Pair, Shape
from fullyconv.grid import format_size


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk found.

    Attributes:
        build: the steps recorded.
        fields: of the values that are the same for each window.
        refusals: the reason, for each node whose rule refused it; nodes that come after such a node have none.
        nominal: where the cells of each value lie, wherever it runs, as far as that is known.
        shapes: of all values at window size.
    """

    build: Build
    fields: dict[str, Field]
    refusals: dict[str, Refusal]
    nominal: dict[str, Nominal]
    shapes: dict[str, Shape]


def make_plan(
    graph: Graph,
    *,
    stride: Pair | None = None,
    windowed_from: str | None = None,
    approximate: frozenset[str] = frozenset(),
) -> Plan:
    """Returns how the classifier becomes a dense network. Never refuses: what is not local runs on windows.

    Args:
        graph: the classifier at window size.
        stride: pixels between neighbouring scores, multiples of the network's own stride; its own where None, and along
            an axis where it is asked for something else, which is a matter of refinement.
        windowed_from: a layer: it and what follows run on windows; "image" for the whole network.
        approximate: names of local approximations that may be made.

    Raises:
        ModelError: the image is not `(N, C, height, width)`, or an output does not begin with the batch.
        OptionError: a stride below one pixel, or a layer that the network does not have.
    """
    if len(graph.image.shape) != 4:
        raise ModelError(f"the model's input: expected (N, C, height, width), got {graph.image.shape}")
    aim = Aim(windowed=_find_asked(graph, windowed_from))
    first = _walk(graph, aim)
    while more := find_spread(graph, first.fields, first.refusals, approximate) - aim.spread:
        aim = replace(aim, spread=aim.spread | more)
        first = _walk(graph, aim)
    grid_stride = _choose_stride(stride, _find_grid_stride(graph, first))
    last = _walk(graph, replace(aim, grid_stride=grid_stride))
    selection = select_parts(graph, last.fields, grid_stride)
    return finish_plan(graph, last.build, last.fields, selection, _explain(graph, last, selection))


def _walk(graph: Graph, aim: Aim) -> Walk:
    build = Build(graph.image, graph.constants, aim)
    image = graph.image
    shapes = {value.name: value.shape for value in (image, *(value for node in graph.nodes for value in node.outputs))}
    walk = Walk(
        build,
        {image.name: _make_image_field(graph, build)},
        {},
        {image.name: make_nominal(image.shape, (1, 1))},
        shapes,
    )
    for node in graph.nodes:
        if node.name in aim.windowed:
            walk.refusals[node.name] = Refusal("windows were asked for from here on")
        else:
            _handle(node, walk)
        for place, value in enumerate(node.outputs):
            field = walk.fields.get(value.name)
            walk.nominal[value.name] = follow(node, walk.nominal, shapes, field, place=place)
    return walk


def _find_asked(graph: Graph, windowed_from: str | None) -> frozenset[str]:
    """Returns the nodes that must run on windows because the user said so."""
    if windowed_from is None:
        return frozenset()
    if windowed_from == "image":
        return frozenset(node.name for node in graph.nodes if graph.image.name in node.inputs)
    asked = [node.name for node in graph.nodes if f"{node.layer}.".startswith(f"{windowed_from}.")]
    if not asked:
        layers = dict.fromkeys(node.layer.split(".")[0] for node in graph.nodes if node.layer)
        raise OptionError(f"windowed_from: expected image, or a layer such as {', '.join(layers)}; got {windowed_from}")
    return frozenset(asked)


def _choose_stride(asked: Pair | None, own: Pair) -> Pair:
    """Returns what was asked for along each axis where that is a multiple of the network's own, else its own."""
    if asked is None:
        return own
    if min(asked) < 1:
        raise OptionError(f"stride: expected at least 1 pixel, got {format_size(asked)}")
    rows, columns = (step if wanted % step else wanted for wanted, step in zip(asked, own, strict=True))
    return rows, columns


def _make_image_field(graph: Graph, build: Build) -> Field:
    batch, channels = graph.image.shape[:2]
    batch_axis = (Factor(Kind.BATCH, batch),) if batch > 1 else ()
    channel_axis = build.make_channel(channels)
    lines = Line(graph.window[0]), Line(graph.window[1])
    axes = make_map_axes(batch_axis, channel_axis, graph.window)
    return Field(graph.image.name, axes, channel_axis, *lines)


def _handle(node: Node, walk: Walk) -> None:
    known = walk.build.constants.keys() | {""}
    if any(name not in walk.fields and name not in known for name in node.inputs):
        return
    inputs = tuple(walk.fields.get(name) for name in node.inputs)
    mark = walk.build.mark()
    try:
        outcome = find_rule(node)(node, inputs, walk.build)
    except LookupError as error:
        outcome = Refusal(str(error))
    if isinstance(outcome, Refusal):
        walk.build.forget(mark)
        walk.refusals[node.name] = outcome
        return
    pairs = list(zip(node.outputs, outcome, strict=False))
    wrong = [(value.shape, field.shape) for value, field in pairs if field.shape != value.shape]
    if wrong:  # a mistake in a rule: the numbers stay right, and the report shows it
        walk.build.forget(mark)
        walk.refusals[node.name] = Refusal(f"its rule expects the shape {wrong[0][1]}, the model gives {wrong[0][0]}")
        return
    walk.fields.update((value.name, field) for value, field in pairs)


def _find_grid_stride(graph: Graph, walk: Walk) -> Pair:
    """Returns the least distance of windows at which everything that runs densely fits them."""
    own = _join([_find_stride(name, walk) for name in graph.outputs])
    selection = select_parts(graph, walk.fields, own)
    return _join([own, *(walk.fields[name].period for name in selection.cuts)])


def _find_stride(name: str, walk: Walk) -> Pair:
    field = walk.fields.get(name)
    return walk.nominal[name].stride if field is None else field.period


def _join(strides: list[Pair]) -> Pair:
    return lcm(*(stride[0] for stride in strides)), lcm(*(stride[1] for stride in strides))


def _explain(graph: Graph, walk: Walk, selection: Selection) -> tuple[str, ...]:
    """Returns the reasons of the refusals that made part of the network run on windows."""
    return tuple(
        f"{node}: {walk.refusals[node.name].reason}"
        for node in graph.nodes
        if node.name in selection.windowed and node.name in walk.refusals
    )
