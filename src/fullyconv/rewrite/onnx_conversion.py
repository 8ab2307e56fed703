"""The main path for ONNX files: model.onnx + window -> Graph -> Plan -> DenseModel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import ceil, prod

import numpy as np

from fullyconv.analyze import Plan, make_plan
from fullyconv.capture.onnx_file import CapturedOnnx, capture_onnx
from fullyconv.capture.onnx_model import OnnxModel
from fullyconv.card import ModelCard
from fullyconv.graph import Graph, Pair
from fullyconv.rewrite.asked import Asked
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.onnx_apply import apply_to_onnx
from fullyconv.rewrite.onnx_fragments import loosen_cuts
from fullyconv.rewrite.onnx_head import make_head
from fullyconv.rewrite.onnx_module import OnnxModule
from fullyconv.rewrite.onnx_refined import FragmentWriter, choose_route
from fullyconv.rewrite.program import OnnxHead, OnnxProgram
from fullyconv.rewrite.report import make_report

# As for torch: a branch may be waiting, and kernels work on copies of their own.
_SAFETY = 2


def convert_onnx(
    source: OnnxModel, window: Pair | None, channels: int | None, card: ModelCard | None, asked: Asked
) -> DenseModel:
    """Returns the dense network of an ONNX classifier, which onnxruntime runs; the file is not changed.

    Args:
        source: the file, from `load_onnx`.
        window: `(height, width)` in pixels; where None, what the file says.
        channels: of the image; where None, what the file says.
        card: classes and preprocessing, where they are known.
        asked: how to convert.

    Raises:
        CaptureError: the model does not run on the window.
        ModelError: a weight is not finite, or a step has no ONNX form.
        OptionError: nobody says the window; a stride or a layer that the network does not have.
    """
    captured = capture_onnx(source, window, channels)
    plan = make_plan(
        captured.graph, stride=asked.stride, windowed_from=asked.windowed_from, approximate=asked.approximate
    )
    dense = build_onnx(plan, captured, card)
    return dense.refine(asked.stride) if asked.stride else dense


def build_onnx(plan: Plan, captured: CapturedOnnx, card: ModelCard | None) -> DenseModel:
    """Returns the dense network that a plan describes."""
    channels = captured.graph.image.shape[1]
    card = card or ModelCard(plan.grid.window_px, channels)
    activation = plan.outputs[0].activation
    card = replace(card, window=plan.grid.window_px, channels=channels, activation=activation, border="image")
    head, head_model = make_head(plan, captured) if plan.windowed else (None, None)
    program = _describe(plan, captured, head)

    def refine(stride: Pair) -> OnnxModule:
        route = choose_route(plan, program.image, stride)
        cuts = loosen_cuts(plan.cuts, route.lattices, stride)
        written = FragmentWriter(plan, captured, route).write()
        fine = replace(
            program, stride=stride, made_at=program.stride, names=written.names,
            head=head and replace(head, cuts=cuts),
            bytes_per_pixel=_measure_pixel(captured.graph, route.count_fragments()),
        )  # fmt: skip
        return OnnxModule(fine, written.model, head_model)

    dense = apply_to_onnx(plan, captured)
    module = OnnxModule(replace(program, names=dense.names), dense.model, head_model)
    module.make_finer = refine
    return DenseModel(plan.grid, card, make_report(plan), module, plan.margins_px, plan.feature_maps)


def _describe(plan: Plan, captured: CapturedOnnx, head: OnnxHead | None) -> OnnxProgram:
    """Returns the program but for the names of its maps."""
    names = tuple(output.value for output in plan.outputs)
    return OnnxProgram(
        image=captured.graph.image.name,
        window=plan.grid.window_px,
        stride=plan.grid.stride_px,
        names={},
        head=head,
        outputs=plan.outputs,
        logits=plan.logits,
        structure=0 if len(names) == 1 else {name: place for place, name in enumerate(names)},
        dtype=captured.source.dtype,
        bytes_per_pixel=_measure_pixel(captured.graph, {}),
    )


def _measure_pixel(graph: Graph, fragments: Mapping[str, int]) -> int:
    """Returns about what running the network takes for each pixel, by its largest operation.

    Args:
        graph: the network.
        fragments: how many there are of the values in fragments.
    """
    shapes = {value.name: value.shape for node in graph.nodes for value in node.outputs}
    shapes[graph.image.name] = graph.image.shape
    sizes = {name: prod(shape) * fragments.get(name, 1) for name, shape in shapes.items()}
    largest = max(
        sum(sizes[name] for name in (*node.inputs, *(value.name for value in node.outputs)) if name in sizes)
        for node in graph.nodes
    )
    item = np.dtype(graph.image.dtype).itemsize
    return ceil(item * (_SAFETY * largest + prod(graph.image.shape)) / (graph.batch * prod(graph.window)))
