"""Every kind of step that can be written is known by how it changes the cells of a map."""

from __future__ import annotations

import pytest

from fullyconv.analyze.plan import BinPool, CropMap, ToGrid
from fullyconv.analyze.rearrangement import FoldMap, UnfoldMap
from fullyconv.graph import Conv, Opaque, WindowPool
from fullyconv.refine.slides import _CELL_BY_CELL, _SLIDING, Slide, find_slide
from fullyconv.rewrite.torch_steps import _LOWERINGS

CONV = Conv((2, 1), ((1, 1), (1, 1)), (1, 1), 1)


def test_every_step_is_known() -> None:
    assert set(_LOWERINGS) == _CELL_BY_CELL | _SLIDING


@pytest.mark.parametrize(
    ("op", "slide"),
    [
        (CONV, Slide((2, 1))),
        (Conv((1, 1), ((1, 1), (1, 1)), (1, 1), 1), None),
        (CropMap((1, 0), (0, 0), (1, 3)), Slide((1, 3))),
        (FoldMap((2, 3)), Slide((2, 3))),
        (UnfoldMap((2, 3)), Slide(finer=(2, 3))),
        (ToGrid((2, 2), (8, 8)), Slide((2, 2))),
        (BinPool("max", (4, 4), (2, 2), (2, 2)), Slide((2, 2))),
        (WindowPool("average", (2, 2), (1, 1)), None),
    ],
)
def test_slides(op: object, slide: Slide | None) -> None:
    assert find_slide(op) == slide  # type: ignore[arg-type]


def test_pools_that_round_up_say_how_they_count() -> None:
    slide = find_slide(WindowPool("max", (3, 3), (2, 2), ceil_mode=True))
    assert slide is not None and slide.ceil is not None
    assert [sliding.count(8) for sliding in slide.ceil] == [4, 4]


def test_what_is_not_known_is_not_guessed() -> None:
    with pytest.raises(LookupError, match="Opaque: not known how it changes the cells of a map"):
        find_slide(Opaque("aten.cumprod"))
