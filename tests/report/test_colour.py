from itertools import combinations, pairwise

import numpy as np
import pytest

from fullyconv.report.colour import choose_class_colour, make_heat_scale, oklab_to_rgb, trace_heat


def test_oklab_of_known_colours() -> None:
    known = {  # published values, rounded to three digits
        (1.0, 0.0, 0.0): (1, 1, 1),
        (0.628, 0.225, 0.126): (1, 0, 0),
        (0.866, -0.234, 0.179): (0, 1, 0),
        (0.452, -0.032, -0.312): (0, 0, 1),
    }
    for lab, rgb in known.items():
        np.testing.assert_allclose(oklab_to_rgb(np.array(lab)), rgb, atol=0.03)


def test_heat_rises_evenly_to_the_eye() -> None:
    path = trace_heat(np.linspace(0, 1, 256))
    assert (np.diff(path[:, 0]) > 0).all()
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps.max() < 1.5 * steps.min()


def test_heat_scale_is_256_different_colours_in_gamut() -> None:
    scale = make_heat_scale()
    assert scale.shape == (256, 3)
    assert scale.dtype == np.uint8
    assert len({tuple(colour) for colour in scale.tolist()}) > 250
    assert scale[0].sum() < scale[128].sum() < scale[255].sum()
    luma = scale @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luma) > -0.75).all()  # rounding to 8 bits may take back half a step
    with pytest.raises(ValueError, match="read-only"):
        scale[0] = 0


def test_classes_differ() -> None:
    colours = [np.array(choose_class_colour(index)) for index in range(8)]
    assert min(np.abs(a - b).sum() for a, b in combinations(colours, 2)) > 40
    assert min(np.abs(a - b).sum() for a, b in pairwise(colours)) > 100
    assert choose_class_colour(3) == choose_class_colour(3)
