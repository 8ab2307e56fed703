"""What counts as the face, what counts as false, and how it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from fullyconv.demo.data import FACE_XYXY
from fullyconv.demo.phrases import count, explain_face
from fullyconv.demo.result import Looked, is_face
from fullyconv.detect import Detection

FACE = Detection(FACE_XYXY, 0.9, "face", 1.0)
ELSEWHERE = Detection((0.0, 0.0, 50.0, 50.0), 0.8, "face", 1.0)


def look(*boxes: Detection, has_face: bool = True) -> Looked:
    return Looked("photo", (512, 512), 10, 0.1, boxes, has_face=has_face, picture=Path("photo.png"))


@pytest.mark.parametrize(
    ("shift", "expected"), [((0, 0), True), ((20, 10), True), ((60, 60), False), ((-500, 0), False)]
)
def test_a_box_is_the_face_where_it_overlaps_enough(shift, expected):
    x0, y0, x1, y1 = FACE_XYXY
    assert is_face((x0 + shift[0], y0 + shift[1], x1 + shift[0], y1 + shift[1])) is expected


@pytest.mark.parametrize(
    ("looked", "rank", "false_boxes", "words"),
    [
        (look(FACE, ELSEWHERE), 1, 1, "The face is the top-scoring box, with a score of 0.900; 1 false box beside it."),
        (look(ELSEWHERE, FACE), 2, 1, "The face is box 2 by score"),
        (look(FACE, FACE), 1, 1, "1 false box beside it"),
        (look(ELSEWHERE), None, 1, "The face was not found; 1 false box."),
        (look(), None, 0, "The face was not found; 0 false boxes."),
    ],
)
def test_false_boxes_are_counted_and_told(looked, rank, false_boxes, words):
    assert (looked.face_rank, looked.false_boxes) == (rank, false_boxes)
    assert words in explain_face(looked)


def test_every_box_is_false_where_there_is_no_face():
    assert look(FACE, ELSEWHERE, has_face=False).false_boxes == 2


def test_numbers_agree_with_their_nouns():
    assert [count(number, "box") for number in (0, 1, 1200)] == ["0 boxes", "1 box", "1,200 boxes"]
