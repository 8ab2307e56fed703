import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Point, Polygon

from fullyconv.grid import Grid
from fullyconv.scan.placement import Placement
from fullyconv.scan.regions import PolygonMask, polygons

PLACEMENT = Placement(Grid((8, 8), (4, 4), (1, 1)), (400, 600), (2.0, 2.0))
RING = Polygon([(100, 60), (900, 200), (400, 750)], [[(380, 300), (500, 320), (420, 450)]])


def test_cells_are_those_whose_centre_is_inside(monkeypatch):
    monkeypatch.setattr(polygons, "_LEAF_CELLS", 16)
    rows, columns = PLACEMENT.shape
    found = PolygonMask(RING, PLACEMENT).inside((0, rows), (0, columns))
    expected = [
        [RING.intersects(Point(x, y)) for x in PLACEMENT.centres(1, (0, columns))]
        for y in PLACEMENT.centres(0, (0, rows))
    ]
    assert (found == expected).all()
    assert 0 < found.sum() < found.size


@settings(deadline=None)  # shapely takes a moment to prepare
@given(st.integers(0, 98), st.integers(0, 148), st.integers(1, 60), st.integers(1, 60))
def test_a_block_is_a_part_of_the_whole(i, j, height, width):
    mask = PolygonMask(shapely.union(RING, Point(1000, 100).buffer(70)), PLACEMENT)
    rows, columns = (i, min(i + height, 99)), (j, min(j + width, 149))
    whole = mask.inside((0, 99), (0, 149))
    part = mask.inside(rows, columns)
    assert (part == whole[slice(*rows), slice(*columns)]).all()
    assert mask.selects_any(rows, columns) == part.any()


def test_an_outline_belongs_to_the_region():
    square = shapely.box(8, 8, 16, 16)
    assert PolygonMask(square, PLACEMENT).inside((0, 4), (0, 4)).tolist() == [
        [True, True, False, False],
        [True, True, False, False],
        [False] * 4,
        [False] * 4,
    ]


def test_an_area_between_the_centres_selects_nothing():
    mask = PolygonMask(MultiPolygon([shapely.box(17, 17, 23, 23)]), PLACEMENT)
    assert not mask.selects_any((0, 99), (0, 149))


@pytest.mark.parametrize("area", [RING, shapely.box(-10, -10, 2e5, 2e5)])
def test_ten_billion_cells_are_no_burden(area):
    huge = Placement(Grid((64, 64), (1, 1), (1, 1)), (100_000, 100_000))
    mask = PolygonMask(area, huge)
    rows, columns = huge.shape
    assert mask.selects_any((0, rows), (0, columns))
    assert mask.inside((400, 410), (400, 410)).shape == (10, 10)
    assert not PolygonMask(shapely.box(-9, -9, -1, -1), huge).selects_any((0, rows), (0, columns))


def test_the_area_is_checked_where_it_is_crossed_only():
    mask = PolygonMask(RING, PLACEMENT)
    tested = sum(np.size(values) for _, values in mask._find((0, 99), (0, 149)) if values is not True)
    assert tested <= 99 * 149
