"""Reshapes of factors, against numpy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fullyconv.analyze.factors import Factor, Kind, flatten, measure, regroup

C, Y, X = Factor(Kind.CHANNEL, 12, (0,)), Factor(Kind.Y, 5), Factor(Kind.X, 7)


@given(st.permutations([(C,), (Y,), (X,), ()]), st.data())
def test_regroup_keeps_row_major_order(axes: list[tuple[Factor, ...]], data: st.DataObject) -> None:
    """Any merge of neighbouring axes is possible, and the order of values stays."""
    cuts = data.draw(st.lists(st.booleans(), min_size=3, max_size=3))
    merged: list[int] = []
    for size, cut in zip(measure(tuple(axes)), [True, *cuts], strict=True):
        if cut:
            merged.append(size)
        else:
            merged[-1] *= size
    result = regroup(tuple(axes), tuple(merged))
    assert result is not None
    assert measure(result.axes) == tuple(merged)
    assert flatten(result.axes) == flatten(tuple(axes))


@given(st.sampled_from([(2, 6), (3, 4), (4, 3), (6, 2), (2, 2, 3), (3, 2, 2)]))
def test_channels_split(sizes: tuple[int, ...]) -> None:
    result = regroup(((C,), (Y,), (X,)), (*sizes, 35))
    assert result is not None
    assert measure(result.axes) == (*sizes, 35)
    parts = dict(result.splits)[C]
    assert tuple(part.size for part in parts) == sizes
    assert len({part.serial for part in parts}) == len(parts)
    # the values' order is that of a numpy reshape
    values = np.arange(12)
    assert values.reshape(sizes).ravel().tolist() == values.tolist()


def test_the_rest_does_not_split() -> None:
    assert regroup(((Y,), (X,)), (7, 5)) is None
    assert regroup(((C,), (Y,)), (8, 15)) is None
    assert regroup(((C,), (Y,)), (60,)) is not None


@given(st.sampled_from([(8, 1), (4, 2), (2, 4), (2, 2, 2)]), st.sampled_from([(6,), (3, 2), (2, 3)]))
def test_rows_and_columns_fold(rows: tuple[int, ...], columns: tuple[int, ...]) -> None:
    """The first part stays rows or columns; what follows counts the cells within one."""
    whole = Factor(Kind.Y, 8), Factor(Kind.X, 6)
    result = regroup(((C,), (whole[0],), (whole[1],)), (12, *rows, *columns), 5)
    assert result is not None
    assert measure(result.axes) == (12, *rows, *columns)
    factors = flatten(result.axes)
    assert [f for f in factors if f.kind is Kind.Y] == [Factor(Kind.Y, rows[0])]
    assert [f for f in factors if f.kind is Kind.X] == [Factor(Kind.X, columns[0])]
    assert len(set(factors)) == len(factors)
    folded = {old: parts[1].size for old, parts in result.folds}
    assert folded == {
        old: old.size // first for old, first in zip(whole, (rows[0], columns[0]), strict=True) if old.size > first
    }
