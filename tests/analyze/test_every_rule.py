"""The zoo, which is verified against slow references, leaves no rule out."""

from __future__ import annotations

from fullyconv.analyze import make_plan
from fullyconv.analyze.rule import list_keys
from fullyconv.analyze.spreading import APPROXIMATIONS
from fullyconv.capture.onnx_file import capture_onnx
from fullyconv.capture.onnx_model import load_onnx
from fullyconv.capture.torch_export import capture
from fullyconv.graph import Opaque
from onnx_files import between, node, pooled
from zoo import ZOO, build


def test_the_zoo_uses_every_rule(tmp_path) -> None:
    """So do, for ONNX's own operators, files that tests/capture/test_onnx_operations.py compares with crops."""
    nodes = [node("LRN", "m", "r", size=3, alpha=0.3), *pooled("r")]
    file = between(tmp_path / "a.onnx", nodes, 6)
    graphs = [capture_onnx(load_onnx(file)).graph]
    graphs += [capture(build(name), entry.window).graph for name, entry in ZOO.items()]
    used = set()
    for graph in graphs:
        windowed = set(make_plan(graph, approximate=frozenset(APPROXIMATIONS)).windowed)
        nodes = [node for node in graph.nodes if node.name not in windowed]
        used |= {node.source if isinstance(node.op, Opaque) else type(node.op) for node in nodes}
    assert list_keys() - used == set()
