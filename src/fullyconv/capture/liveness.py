"""Which calls of a series are needed, which tensors are alive when, and how many values that is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fullyconv.capture.calls import Call


def find_needed(calls: Sequence[Call], wanted: Collection[str]) -> list[Call]:
    """Returns the calls that lead to what is wanted, in running order."""
    names = set(wanted)
    needed = []
    for call in reversed(calls):
        if not names.isdisjoint(call.outputs):
            names.update(call.references())
            needed.append(call)
    return needed[::-1]


def find_families(calls: Sequence[Call]) -> list[list[Call]]:
    """Returns the calls in groups none of which reads what another makes, each in running order."""
    parents = list(range(len(calls)))
    makers: dict[str, int] = {}

    def find_root(place: int) -> int:
        while parents[place] != place:
            place = parents[place]
        return place

    for place, call in enumerate(calls):
        for name in call.references():
            if name in makers:
                parents[find_root(makers[name])] = place
        makers.update(dict.fromkeys(call.outputs, place))
    families: dict[int, list[Call]] = {}
    for place, call in enumerate(calls):
        families.setdefault(find_root(place), []).append(call)
    return list(families.values())


def find_last_uses(calls: Sequence[Call], kept: Collection[str]) -> list[tuple[str, ...]]:
    """Returns for each call the tensors that nothing reads after it, unless they are in `kept`."""
    seen = set(kept)
    uses: list[tuple[str, ...]] = []
    for call in reversed(calls):
        last = {*call.references(), *call.outputs} - seen
        seen |= last
        uses.append(tuple(last))
    return uses[::-1]


def count_live_values(calls: Sequence[Call], sizes: Mapping[str, int], kept: Collection[str]) -> int:
    """Returns the most values that are alive at a time while the calls run one after the other.

    Args:
        calls: in running order.
        sizes: how many values each tensor has; those that are not here, weights say, do not count. What is read
            and not made by a call is alive from the beginning. A view counts like a copy, which makes up for what
            the operations need for themselves.
        kept: tensors that stay alive.
    """
    made = {name for call in calls for name in call.outputs}
    read = {name for call in calls for name in call.references()}
    alive = read - made
    most = live = sum(sizes.get(name, 0) for name in alive)
    for call, last in zip(calls, find_last_uses(calls, kept), strict=True):
        live += sum(sizes.get(name, 0) for name in call.outputs)
        most = max(most, live)
        live -= sum(sizes.get(name, 0) for name in last)
    return most
