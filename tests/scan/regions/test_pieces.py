import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fullyconv.errors import OptionError
from fullyconv.grid import Grid
from fullyconv.scan.regions import Piece, PieceCost, split_wanted

CHEAP_RUNS = PieceCost(Grid((64, 64), (32, 32), (2, 2)), ((32, 32), (32, 32)), run_px=0)


@st.composite
def blocks(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    random = np.random.default_rng(draw(st.integers(0, 9999)))
    wanted = random.random(shape) < draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 0.95, 1.0]))
    for _ in range(draw(st.integers(0, 3))):
        i, j = random.integers(0, shape)
        wanted[i : i + random.integers(1, 12), j : j + random.integers(1, 12)] = draw(st.booleans())
    return wanted


@st.composite
def costs(draw: st.DrawFn) -> PieceCost:
    pairs = st.tuples(st.integers(1, 40), st.integers(1, 40))
    margins = st.tuples(st.integers(0, 30), st.integers(0, 30))
    return PieceCost(
        Grid(draw(pairs), draw(pairs), (1, 1)), draw(st.tuples(margins, margins)), draw(st.integers(0, 4000))
    )


def count(wanted: np.ndarray, pieces: tuple[Piece, ...]) -> np.ndarray:
    owners = np.zeros(wanted.shape, int)
    for piece in pieces:
        owners[slice(*piece.rows), slice(*piece.columns)] += 1
    return owners


@settings(deadline=None)
@given(blocks(), costs())
def test_every_wanted_cell_is_in_exactly_one_piece(wanted, cost):
    pieces = split_wanted(wanted, cost)
    owners = count(wanted, pieces)
    assert (owners[wanted] == 1).all()
    assert owners.max(initial=0) <= 1
    assert all(wanted[slice(*each.rows), slice(*each.columns)].any() for each in pieces)
    if wanted.any():
        rows, columns = np.flatnonzero(wanted.any(axis=1)), np.flatnonzero(wanted.any(axis=0))
        around = Piece((rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1))
        assert sum(map(cost.count, pieces)) <= cost.count(around)


@settings(deadline=None)
@given(blocks(), costs(), st.integers(0, 50), st.integers(0, 50))
def test_pieces_are_in_cells_of_the_whole_grid(wanted, cost, i, j):
    moved = tuple(
        Piece((each.rows[0] + i, each.rows[1] + i), (each.columns[0] + j, each.columns[1] + j))
        for each in split_wanted(wanted, cost)
    )
    assert split_wanted(wanted, cost, origin=(i, j)) == moved


def test_nothing_wanted_costs_nothing():
    assert split_wanted(np.zeros((5, 5), bool), CHEAP_RUNS) == ()


def test_a_block_shrinks_to_its_wanted_cells():
    wanted = np.zeros((20, 30), bool)
    wanted[3:9, 4:25] = True
    assert split_wanted(wanted, CHEAP_RUNS) == (Piece((3, 9), (4, 25)),)


def test_far_spots_fall_into_pieces():
    wanted = np.zeros((40, 40), bool)
    wanted[0, 0] = wanted[39, 39] = wanted[0, 38:] = True
    pieces = split_wanted(wanted, CHEAP_RUNS)
    assert {(each.rows, each.columns) for each in pieces} == {
        ((0, 1), (0, 1)),
        ((39, 40), (39, 40)),
        ((0, 1), (38, 40)),
    }


def test_a_ring_is_cut_around_its_hole():
    wanted = np.ones((40, 40), bool)
    wanted[4:36, 4:36] = False
    pieces = split_wanted(wanted, CHEAP_RUNS)
    assert len(pieces) == 4
    assert (count(wanted, pieces) == wanted).all()


def test_what_a_run_costs_keeps_pieces_together():
    wanted = np.zeros((10, 10), bool)
    wanted[::9, ::9] = True
    grid = Grid((32, 32), (32, 32), (1, 1))
    assert len(split_wanted(wanted, PieceCost(grid, ((0, 0), (0, 0)), run_px=0))) == 4
    assert len(split_wanted(wanted, PieceCost(grid, ((0, 0), (0, 0)), run_px=10**6))) == 1


def test_a_negative_cost_is_refused():
    with pytest.raises(OptionError, match="run_px: expected what a run costs, at least 0 pixels, got -1"):
        PieceCost(CHEAP_RUNS.grid, CHEAP_RUNS.margins_px, run_px=-1)
