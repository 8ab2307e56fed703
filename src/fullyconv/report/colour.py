"""Colours by formula: a heat scale that rises evenly to the eye, and class colours that differ evenly.

Both are paths through OKLab, a space in which equal distances look about equally different (B. Ottosson, "A
perceptual color space for image processing", 2020: https://bottosson.github.io/posts/oklab/).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Rgb = tuple[int, int, int]

# OKLab to the cube roots of cone responses, and cone responses to linear sRGB: the matrices of the article.
_TO_CONES = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)

# The heat scale, from least to most: dark violet, red, orange, pale yellow. Lightness rises in equal steps.
_HEAT_LIGHTNESS = (0.22, 0.95)
_HEAT_HUE = (-70.0, 105.0)
_HEAT_CHROMA = (0.09, 0.175, 0.12)

_CLASS_LIGHTNESS, _CLASS_CHROMA, _FIRST_HUE = 0.80, 0.15, 190.0
_GOLDEN_ANGLE = 180 * (3 - 5**0.5)  # however many classes there are, each new hue falls into the widest gap


def oklab_to_rgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns sRGB values of 0 to 1, `(..., 3)`, from OKLab `(..., 3)`; what sRGB cannot show is clipped."""
    linear = (lab @ _TO_CONES.T) ** 3 @ _TO_LINEAR.T
    linear = np.clip(linear, 0, 1)
    rgb: NDArray[np.float64] = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb


@cache
def make_heat_scale() -> NDArray[np.uint8]:
    """Returns 256 colours `(256, 3)`, uint8 sRGB, from the least heat to the most."""
    rgb = oklab_to_rgb(trace_heat(np.linspace(0, 1, 256)))
    scale = np.rint(rgb * 255).astype(np.uint8)
    scale.flags.writeable = False
    return scale


def trace_heat(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the OKLab colours `(n, 3)` of heats of 0 to 1, `(n,)`."""
    lightness = np.interp(share, (0, 1), _HEAT_LIGHTNESS)
    chroma = np.interp(share, (0, 0.5, 1), _HEAT_CHROMA)
    hue = np.radians(np.interp(share, (0, 1), _HEAT_HUE))
    return np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)


def choose_class_colour(index: int) -> Rgb:
    """Returns the colour of the class at this position: equally light for all, so that no class shouts."""
    hue = np.radians(_FIRST_HUE + index * _GOLDEN_ANGLE)
    lab = np.array([_CLASS_LIGHTNESS, _CLASS_CHROMA * np.cos(hue), _CLASS_CHROMA * np.sin(hue)])
    red, green, blue = np.rint(oklab_to_rgb(lab) * 255).astype(int).tolist()
    return red, green, blue
