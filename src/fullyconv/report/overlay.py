"""A picture that shows what was found: the image, the heat of its scores, and boxes with labels."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fullyconv.detect import Detection
from fullyconv.grid import Pair
from fullyconv.images import Image8, resize
from fullyconv.report.colour import Rgb, choose_class_colour, make_heat_scale
from fullyconv.report.heat import Heat

# Browsers and viewers open this easily; a gigapixel slide is shown smaller, its boxes with it.
LARGEST_SIDE_PX = 4096

_DARK: Rgb = (16, 16, 20)
_COLOUR_KEPT = 0.45  # under heat the image fades: its own colours would be taken for hot ones
_LIGHT_KEPT = 0.8  # and darkens, so that heat glows
_COVER = 0.9  # how much of the image the hottest place hides
_LABELLED = 500  # of so many boxes the labels cover the picture; to find room for more takes as long as to scan
_BoxPx = tuple[int, int, int, int]
_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def choose_picture_size(image_size: Pair) -> Pair:
    """Returns `(height, width)` of the picture of an image: its own, or smaller where that is too large."""
    shrink = min(1.0, LARGEST_SIDE_PX / max(image_size))
    return max(1, round(image_size[0] * shrink)), max(1, round(image_size[1] * shrink))


def draw_overlay(
    image: Image8, detections: Sequence[Detection], *, heat: Heat | None = None, classes: Sequence[str] = ()
) -> Image8:
    """Returns the picture, uint8 RGB `(height, width, 3)`, of the size that `choose_picture_size` says.

    Args:
        image: uint8 `(H, W, C)`; of an image with neither 1 nor 3 channels the first is shown, in grey.
        detections: highest score first.
        heat: scores of 0 to 1, `(height, width)` of the picture, NaN for none; see `combine_heat`.
        classes: all classes, so that each keeps its colour from picture to picture.
    """
    image_size = (image.shape[0], image.shape[1])
    size = choose_picture_size(image_size)
    picture = show_rgb(resize(image, size))
    if heat is not None:
        picture = draw_heat(picture, heat)
    return draw_boxes(picture, detections, image_size=image_size, classes=classes)


def draw_heat(picture: Image8, heat: Heat) -> Image8:
    """Returns the RGB picture with the heat over it: the hotter, the brighter and the less transparent."""
    shown = np.clip(np.nan_to_num(heat, nan=0.0), 0, 1)
    colours = make_heat_scale()[np.rint(shown * 255).astype(int)].astype(np.float32)
    grey = picture.mean(axis=2, keepdims=True, dtype=np.float32)
    faded = _LIGHT_KEPT * (grey + _COLOUR_KEPT * (picture - grey))
    cover = (_COVER * shown**0.75)[:, :, None]
    mixed: Image8 = np.rint(faded * (1 - cover) + colours * cover).astype(np.uint8)
    return mixed


def draw_boxes(
    picture: Image8, detections: Sequence[Detection], *, image_size: Pair, classes: Sequence[str] = ()
) -> Image8:
    """Returns the RGB picture with a box for each detection, and a label where there is room for one.

    The best boxes are drawn last and labelled first, so that in a crowd they are the ones to be seen.
    """
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    names = list(dict.fromkeys([*classes, *(each.class_name for each in detections)]))
    colours = {name: choose_class_colour(index) for index, name in enumerate(names)}
    boxes = [_place(each, image_size, canvas) for each in detections]
    width = _choose_line_px(canvas)
    for each, box in reversed(list(zip(detections, boxes, strict=True))):
        thinner = max(1, min(box[2] - box[0], box[3] - box[1]) // 12)  # the line must not hide what it shows
        _draw_box(pen, box, colours[each.class_name], min(width, thinner))
    _draw_labels(pen, detections[:_LABELLED], boxes[:_LABELLED], colours)
    return np.asarray(canvas)


def show_rgb(image: Image8) -> Image8:
    """Returns an RGB picture; of an image with neither 1 nor 3 channels the first is shown, in grey."""
    return image if image.shape[2] == 3 else np.repeat(image[:, :, :1], 3, axis=2)


def _place(detection: Detection, image_size: Pair, canvas: Image.Image) -> _BoxPx:
    """Returns the box in pixels of the picture, inclusive corners, as Pillow draws them."""
    x0, y0, x1, y1 = detection.box_xyxy
    across, down = canvas.width / image_size[1], canvas.height / image_size[0]
    return (
        round(x0 * across),
        round(y0 * down),
        max(round(x0 * across) + 1, round(x1 * across) - 1),
        max(round(y0 * down) + 1, round(y1 * down) - 1),
    )


def _choose_line_px(canvas: Image.Image) -> int:
    return max(1, round(sqrt(canvas.width * canvas.height) / 220))


def _draw_box(pen: ImageDraw.ImageDraw, box: _BoxPx, colour: Rgb, width: int) -> None:
    """Draws the box between two dark lines, which show on any ground."""
    edge = max(1, width // 2)
    pen.rectangle(_grow(box, edge), outline=_DARK, width=width + 2 * edge)
    pen.rectangle(box, outline=colour, width=width)


def _grow(box: _BoxPx, by: int) -> _BoxPx:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _draw_labels(
    pen: ImageDraw.ImageDraw,
    detections: Sequence[Detection],
    boxes: Sequence[_BoxPx],
    colours: dict[str, Rgb],
) -> None:
    canvas = pen.im.size
    font = ImageFont.load_default(max(11.0, sqrt(canvas[0] * canvas[1]) / 38))
    taken: list[_BoxPx] = []
    for each, box in zip(detections, boxes, strict=True):
        text = _choose_text(pen, each, box, font)
        place = _find_room(pen.textbbox((0, 0), text, font=font, anchor="lt"), box, canvas, taken)
        if place is not None:
            taken.append(place)
            pen.rectangle(place, fill=colours[each.class_name], outline=_DARK)
            centre = (place[0] + place[2]) / 2, (place[1] + place[3]) / 2
            pen.text(centre, text, fill=_DARK, font=font, anchor="mm")


def _choose_text(pen: ImageDraw.ImageDraw, detection: Detection, box: _BoxPx, font: _Font) -> str:
    """Returns class and score, or the score alone where both would dwarf the box."""
    text = f"{detection.class_name} {detection.score:.2f}"
    fits = pen.textlength(text, font=font) <= 1.5 * (box[2] - box[0])
    return text if fits else f"{detection.score:.2f}"


def _find_room(
    text: tuple[float, float, float, float], box: _BoxPx, canvas: Pair, taken: Sequence[_BoxPx]
) -> _BoxPx | None:
    """Returns where a label goes: above the box, else below, else inside; None where others are already."""
    pad = max(3, round((text[3] - text[1]) * 0.35))
    width, height = round(text[2] - text[0]) + 2 * pad, round(text[3] - text[1]) + 2 * pad
    left = max(0, min(box[0], canvas[0] - 1 - width))
    tops = (box[1] - 1 - height, box[3] + 1, box[1])
    for top in tops:
        place = (left, top, left + width, top + height)
        if top >= 0 and place[3] < canvas[1] and not any(_touches(place, other) for other in taken):
            return place
    return None


def _touches(a: _BoxPx, b: _BoxPx) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
