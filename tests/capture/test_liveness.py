"""Which calls belong together, and which come apart."""

from __future__ import annotations

from fullyconv.capture.calls import Call, Ref
from fullyconv.capture.liveness import find_families


def make_call(output: str, *inputs: str) -> Call:
    return Call("aten.cat.default", ([Ref(name) for name in inputs],), outputs=(output,))


def test_families_share_nothing_that_a_call_makes() -> None:
    """Two weights come apart; a third value joins what two others made; the running order stays."""
    first, second = make_call("a", "w"), make_call("b", "w")
    assert find_families([first, second]) == [[first], [second]]
    third, alone, joined = make_call("c", "b"), make_call("d"), make_call("e", "a", "c")
    assert find_families([first, second, alone, third]) == [[first], [second, third], [alone]]
    assert find_families([first, second, alone, third, joined]) == [[first, second, third, joined], [alone]]
    assert find_families([]) == []
