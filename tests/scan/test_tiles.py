from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullyconv.errors import ImageError, OptionError
from fullyconv.grid import Grid
from fullyconv.scan import TilePlan, plan_tiles


@st.composite
def plans(draw: st.DrawFn) -> TilePlan:
    window = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    stride = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    size = tuple(length + draw(st.integers(0, 60)) for length in window)
    margin = st.tuples(st.integers(0, 12), st.integers(0, 12))
    cells = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    own = draw(st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)))
    begin = None if own is None else (stride[0] * own[0], stride[1] * own[1])
    return TilePlan(Grid(window, stride, (1, 1)), size, draw(st.tuples(margin, margin)), cells, begin)


@given(plans())
def test_every_cell_is_owned_once(plan: TilePlan) -> None:
    owners = np.zeros(plan.grid.shape(plan.image_size), int)
    for tile in plan:
        owners[slice(*tile.rows), slice(*tile.columns)] += 1
    assert (owners == 1).all()
    assert len(plan) == len(list(plan))
    assert sum(tile.cells for tile in plan) == owners.size


@given(plans())
def test_tiles_begin_at_the_stride_and_end_in_the_image(plan: TilePlan) -> None:
    for tile in plan:
        for axis, span in enumerate((tile.y_px, tile.x_px)):
            assert 0 <= span[0] < span[1] <= plan.image_size[axis]
            assert span[0] % (plan.begin_px or plan.grid.stride_px)[axis] == 0
            at_end = span[1] == plan.image_size[axis]
            assert at_end or (tile.size[axis] - plan.grid.window_px[axis]) % plan.grid.stride_px[axis] == 0


@given(plans())
def test_each_owned_window_has_its_margins_or_the_border(plan: TilePlan) -> None:
    for tile in plan:
        for cell in product(range(*tile.rows), range(*tile.columns)):
            left, top, right, bottom = plan.grid.box_xyxy(cell)
            (above, below), (before, after) = plan.margins_px
            assert tile.y_px[0] <= max(0, top - above)
            assert tile.y_px[1] >= min(plan.image_size[0], bottom + below)
            assert tile.x_px[0] <= max(0, left - before)
            assert tile.x_px[1] >= min(plan.image_size[1], right + after)


@given(plans())
def test_offset_is_where_the_owned_block_lies_in_the_tile(plan: TilePlan) -> None:
    for tile in plan:
        origin = plan.grid.origin_yx((tile.rows[0], tile.columns[0]))
        local = plan.grid.origin_yx(tile.offset_cells)
        assert (local[0] + tile.y_px[0], local[1] + tile.x_px[0]) == origin
        rows, columns = plan.grid.shape(tile.size)
        assert tile.offset_cells[0] + tile.rows[1] - tile.rows[0] <= rows
        assert tile.offset_cells[1] + tile.columns[1] - tile.columns[0] <= columns


@given(plans(), st.integers(1, 6000))
def test_tiles_keep_to_their_pixels(plan: TilePlan, tile_px: int) -> None:
    made = plan_tiles(plan.grid, plan.image_size, plan.margins_px, tile_px=tile_px, begin_px=plan.begin_px)
    smallest = TilePlan(plan.grid, plan.image_size, plan.margins_px, (1, 1), plan.begin_px)
    floor = max(tile.size[0] for tile in smallest) * max(tile.size[1] for tile in smallest)
    assert all(tile.size[0] * tile.size[1] <= max(tile_px, floor) for tile in made) or min(made.tile_cells) == 1


def test_one_tile_where_the_image_fits() -> None:
    plan = plan_tiles(Grid((4, 4), (2, 2), (2, 2)), (30, 40), ((2, 2), (2, 2)), tile_px=1200)
    assert [tile.size for tile in plan] == [(30, 40)]


def test_a_narrow_image_gets_long_tiles() -> None:
    plan = plan_tiles(Grid((8, 8), (4, 4), (2, 2)), (8, 4000), ((0, 0), (0, 0)), tile_px=1000)
    assert all(900 < tile.size[0] * tile.size[1] <= 1000 for tile in list(plan)[:-1])
    tall = plan_tiles(Grid((8, 8), (4, 4), (2, 2)), (4000, 8), ((0, 0), (0, 0)), tile_px=1000)
    assert [tile.size[::-1] for tile in tall] == [tile.size for tile in plan]


def test_bad_plans() -> None:
    grid = Grid((4, 4), (2, 2), (2, 2))
    with pytest.raises(OptionError, match="expected tiles of at least 1x1 cells"):
        TilePlan(grid, (8, 8), ((0, 0), (0, 0)), (0, 1))
    with pytest.raises(OptionError, match="margins of at least 0 pixels"):
        plan_tiles(grid, (8, 8), ((0, -1), (0, 0)), tile_px=99)
    with pytest.raises(ImageError, match="the image is smaller than the window"):
        plan_tiles(grid, (3, 8), ((0, 0), (0, 0)), tile_px=99)
