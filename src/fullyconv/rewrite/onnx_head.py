"""The windowed head of a dense ONNX network: the classifier's own nodes, on windows cut from maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from fullyconv.analyze.plan import Cut, Plan
from fullyconv.capture.onnx_file import CapturedOnnx
from fullyconv.capture.onnx_session import Array, OnnxSession
from fullyconv.capture.onnx_trace import list_reads
from fullyconv.errors import CaptureError
from fullyconv.rewrite.program import OnnxHead

# Scores of the same window in batches of several sizes.
_SAME_RTOL = 1e-3


def make_head(plan: Plan, captured: CapturedOnnx) -> tuple[OnnxHead, ir.Model]:
    """Returns how the windowed part of a plan runs, and its model: windows in, scores and logits out."""
    wanted = list(dict.fromkeys(output.value for output in (*plan.outputs, *plan.logits) if not output.tensor))
    model = _extract(plan, captured, wanted)
    batch = captured.graph.batch
    live = sum(prod(value.shape) for node in captured.graph.nodes if node.name in set(plan.windowed)
               for value in node.outputs)  # fmt: skip
    item = np.dtype(captured.source.dtype).itemsize
    is_free = takes_any_batch(model, plan.cuts, batch, captured.trace.dtypes)
    head = OnnxHead(plan.cuts, batch, is_free, item * live // batch)
    return head, model


def _extract(plan: Plan, captured: CapturedOnnx, wanted: list[str]) -> ir.Model:
    """Returns the nodes between the cuts and the outputs as a model of their own."""
    graph = captured.source.model.graph.clone()
    cuts = {cut.value for cut in plan.cuts}
    values = {str(value.name): value for node in graph for value in node.outputs}
    values.update({str(value.name): value for value in graph.inputs})
    _bake_sizes(graph, values, captured, cuts, set(plan.windowed))
    for cut in plan.cuts:
        value = values[cut.value]
        shape: list[int | str] = list(cut.shape)
        shape[cut.batch_axis] = "windows"
        value.shape = ir.Shape(shape)
        value.dtype = ir.DataType.from_numpy(np.dtype(captured.trace.dtypes[cut.value]))
    for name in wanted:
        values[name].shape = ir.Shape([None] * len(captured.trace.shapes[name]))
        values[name].dtype = ir.DataType.from_numpy(np.dtype(captured.trace.dtypes[name]))
    part = ir.convenience.extract(graph, inputs=sorted(cuts), outputs=wanted)
    source = captured.source.model
    part.opset_imports.update(source.graph.opset_imports)
    return ir.Model(part, ir_version=source.ir_version, producer_name="fullyconv")


def _bake_sizes(
    graph: ir.Graph, values: dict[str, ir.Value], captured: CapturedOnnx, cuts: set[str], windowed: set[str]
) -> None:
    """Makes constants of what the head computes from shapes of something before it."""
    inside = cuts | {str(value.name) for node in graph if node.name in windowed for value in node.outputs}
    reachable: dict[str, bool] = {}

    def is_computed_inside(name: str) -> bool:
        if name not in reachable:
            producer = values[name].producer() if name in values else None
            if producer is None or name in inside:
                reachable[name] = name in inside or name in graph.initializers
            else:
                reachable[name] = all(is_computed_inside(read) for read in list_reads(producer))
        return reachable[name]

    for name in captured.trace.constants:
        if name in values and not is_computed_inside(name):
            array = captured.trace.constants[name]
            weight = ir.Value(name=f"{name}:baked", const_value=ir.tensor(array, name=f"{name}:baked"))
            weight.type, weight.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(list(array.shape))
            graph.register_initializer(weight)
            values[name].replace_all_uses_with(weight)


def takes_any_batch(model: ir.Model, cuts: Sequence[Cut], batch: int, dtypes: Mapping[str, str]) -> bool:
    """Returns whether a head runs on one window more, and gives each the same scores wherever it stands.

    Args:
        model: the head.
        cuts: what it reads.
        batch: how many windows it is known to run on.
        dtypes: of what it reads, by name.
    """
    rng = np.random.default_rng(0)
    more: dict[str, Array] = {}
    moved: dict[str, Array] = {}
    fewer: dict[str, Array] = {}
    for cut in cuts:
        per_window = cut.shape[cut.batch_axis] // batch
        shape = list(cut.shape)
        shape[cut.batch_axis] = per_window * (batch + 1)
        values = rng.standard_normal(shape).astype(dtypes[cut.value])
        more[cut.value], moved[cut.value] = values, np.roll(values, per_window, cut.batch_axis)
        fewer[cut.value] = np.take(values, range(per_window * batch), cut.batch_axis)
    session = OnnxSession(model)
    try:
        found, elsewhere, expected = session.run(more), session.run(moved), session.run(fewer)
    except CaptureError:
        return False
    return all(
        found[name].shape == (batch + 1, *expected[name].shape[1:])
        and _is_same(found[name][:batch], expected[name])
        and _is_same(np.roll(found[name], 1, 0), elsewhere[name])
        for name in session.outputs
    )


def _is_same(found: Array, expected: Array) -> bool:
    difference = np.abs(found.astype(np.float64) - expected).max(initial=0)
    return bool(difference <= _SAME_RTOL * np.abs(expected).max(initial=1e-30))
