import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fullyconv.detect import locate_boxes
from fullyconv.grid import Grid

GRID = Grid((20, 10), (4, 3), (1, 1))


def test_at_scale_one_boxes_are_the_grids() -> None:
    cells = np.array([[0, 0], [2, 5], [7, 1]])
    got = locate_boxes(cells, GRID, scaled_size=(60, 50), image_size=(60, 50))
    assert got.dtype == np.float64
    assert got.tolist() == [list(map(float, GRID.box_xyxy(tuple(cell)))) for cell in cells.tolist()]


def test_half_scale_doubles_boxes_by_the_exact_ratio_of_the_sizes() -> None:
    got = locate_boxes(np.array([[1, 2]]), GRID, scaled_size=(30, 25), image_size=(61, 50))
    np.testing.assert_allclose(got, [[6 * 2, 4 * 61 / 30, 16 * 2, 24 * 61 / 30]], rtol=1e-15)


@given(st.tuples(st.integers(20, 300), st.integers(10, 300)), st.tuples(st.integers(1, 500), st.integers(1, 500)))
def test_boxes_stay_in_the_image(scaled: tuple, size: tuple) -> None:
    rows, columns = GRID.shape(scaled)
    boxes = locate_boxes(np.array([[0, 0], [rows - 1, columns - 1]]), GRID, scaled_size=scaled, image_size=size)
    assert (boxes >= 0).all()
    assert (boxes[:, [0, 1]] < boxes[:, [2, 3]]).all()
    assert (boxes[:, 2] <= size[1]).all()
    assert (boxes[:, 3] <= size[0]).all()


def test_no_cells_no_boxes() -> None:
    empty = np.empty((0, 2), dtype=np.intp)
    assert locate_boxes(empty, GRID, scaled_size=(60, 50), image_size=(60, 50)).shape == (0, 4)


@pytest.mark.parametrize("cell", [(0, 0), (3, 2)])
def test_window_of_the_cell_comes_back(cell: tuple[int, int]) -> None:
    x0, y0, x1, y1 = locate_boxes(np.array([cell]), GRID, scaled_size=(80, 40), image_size=(240, 120))[0]
    assert ((y0, x0), (y1 - y0, x1 - x0)) == ((cell[0] * 12, cell[1] * 9), (60, 30))
