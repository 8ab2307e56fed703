"""The zoo, which is verified against slow references, leaves no rule out."""

from __future__ import annotations

from fullyconv.analyze import make_plan
from fullyconv.analyze.rule import list_keys
from fullyconv.analyze.spreading import APPROXIMATIONS
from fullyconv.capture.torch_export import capture
from fullyconv.graph import Opaque
from zoo import ZOO, build


def test_the_zoo_uses_every_rule() -> None:
    used = set()
    for name, entry in ZOO.items():
        graph = capture(build(name), entry.window).graph
        windowed = set(make_plan(graph, approximate=frozenset(APPROXIMATIONS)).windowed)
        nodes = [node for node in graph.nodes if node.name not in windowed]
        used |= {node.source if isinstance(node.op, Opaque) else type(node.op) for node in nodes}
    assert list_keys() - used == set()
