import numpy as np
import pytest

from fullyconv.detect import Detection
from fullyconv.report import overlay
from fullyconv.report.colour import choose_class_colour
from fullyconv.report.overlay import choose_picture_size, draw_boxes, draw_heat, draw_overlay

GROUND = np.full((200, 300, 3), 120, np.uint8)


def found(box: tuple[float, float, float, float], score: float = 0.9, name: str = "face") -> Detection:
    return Detection(box_xyxy=box, score=score, class_name=name, scale=1.0)


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == np.array(colour)).all(axis=2).sum())


def test_box_edges_lie_where_the_box_is() -> None:
    picture = draw_boxes(GROUND, [found((100, 60, 180, 140))], image_size=(200, 300))
    colour = choose_class_colour(0)
    assert tuple(picture[100, 100]) == colour
    assert tuple(picture[100, 179]) == colour
    assert tuple(picture[60, 140]) == colour
    assert tuple(picture[139, 140]) == colour
    assert (picture[95:105, 110:170] == 120).all()
    assert picture is not GROUND
    assert (GROUND == 120).all()


def test_the_line_does_not_hide_a_small_object() -> None:
    large = np.full((2000, 3000, 3), 120, np.uint8)
    picture = draw_boxes(large, [found((100, 60, 112, 72))], image_size=(2000, 3000))
    assert (picture[63:69, 103:109] == 120).all()
    assert tuple(picture[60, 105]) == choose_class_colour(0)


def test_label_is_above_or_inside_and_in_the_picture() -> None:
    for box in [(100, 60, 180, 140), (0, 0, 300, 200), (250, 150, 300, 200), (0, 0, 20, 200)]:
        picture = draw_boxes(GROUND, [found(box)], image_size=(200, 300))
        assert count(picture, choose_class_colour(0)) > 4 * (box[2] - box[0]) / 10 + 100


def test_a_crowd_is_labelled_only_where_there_is_room() -> None:
    one = draw_boxes(GROUND, [found((100, 60, 180, 140))], image_size=(200, 300))
    crowd = draw_boxes(GROUND, [found((100, 60, 180, 140))] * 9, image_size=(200, 300))
    colour = choose_class_colour(0)
    assert count(one, colour) < count(crowd, colour) < 4 * count(one, colour)


def test_classes_keep_their_colour() -> None:
    classes = ("cat", "dog")
    picture = draw_boxes(GROUND, [found((100, 60, 180, 140), name="dog")], image_size=(200, 300), classes=classes)
    assert count(picture, choose_class_colour(1)) > 100
    assert count(picture, choose_class_colour(0)) == 0


def test_heat_brightens_where_it_is_hot_and_leaves_the_rest() -> None:
    heat = np.full((200, 300), np.nan, np.float32)
    heat[50:100] = 0.0
    heat[100:150] = 0.5
    heat[150:] = 1.0
    picture = draw_heat(GROUND, heat).astype(int)
    assert (picture[:50] == picture[50:100]).all()
    assert np.abs(picture[120] - picture[60]).sum(axis=1).min() > 60
    assert picture[170].sum() > picture[120].sum()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_channels_make_an_rgb_picture(channels: int) -> None:
    picture = draw_overlay(np.full((60, 80, channels), 9, np.uint8), [])
    assert picture.shape == (60, 80, 3)
    assert (picture == 9).all()


def test_a_huge_image_makes_a_smaller_picture_with_its_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_picture_size((300, 200)) == (300, 200)
    assert choose_picture_size((20_000, 40_000)) == (2048, 4096)
    assert choose_picture_size((1, 90_000)) == (1, 4096)
    monkeypatch.setattr(overlay, "LARGEST_SIDE_PX", 150)
    heat = np.zeros((100, 150), np.float32)
    picture = draw_overlay(GROUND, [found((100, 60, 180, 140))], heat=heat)
    assert picture.shape == (100, 150, 3)
    assert tuple(picture[50, 50]) == choose_class_colour(0)
