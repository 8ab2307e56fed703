"""Where each score lies: window arithmetic in pure integers, y before x."""

from __future__ import annotations

from dataclasses import dataclass

from fullyconv.errors import ImageError, OptionError

Pair = tuple[int, int]
BoxXyxy = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of a dense network: score `(i, j)` belongs to the window with top-left pixel `(i*sy, j*sx)`.

    Attributes:
        window_px: the crop size the classifier was trained on, `(height, width)` in pixels.
        stride_px: pixels between neighbouring scores, `(sy, sx)`.
        feature_window: cells of the feature map that one window covers, `(fh, fw)`.

    >>> grid = Grid(window_px=(128, 64), stride_px=(32, 32), feature_window=(4, 2))
    >>> grid.shape((512, 1024))  # the worked example: 13 * 31 = 403 windows
    (13, 31)
    >>> grid.box_xyxy((1, 2))
    (64, 32, 128, 160)
    """

    window_px: Pair
    stride_px: Pair
    feature_window: Pair

    def __post_init__(self) -> None:
        for name in ("window_px", "stride_px", "feature_window"):
            pair = getattr(self, name)
            if len(pair) != 2 or min(pair) < 1:
                raise OptionError(f"{name}: expected two whole numbers of at least 1 (height, width), got {pair}")
            object.__setattr__(self, name, (int(pair[0]), int(pair[1])))

    def shape(self, image_size: Pair) -> Pair:
        """Returns the number of scores `(Gy, Gx)` on an image of `(height, width)` pixels.

        Raises:
            ImageError: the image is smaller than the window.
        """
        rows, columns = (
            (size - window) // stride + 1
            for size, window, stride in zip(image_size, self.window_px, self.stride_px, strict=True)
        )
        if any(size < window for size, window in zip(image_size, self.window_px, strict=True)):
            raise ImageError(
                f"the image is smaller than the window: expected at least {format_size(self.window_px)} "
                f"(width x height), got {format_size(image_size)}; enlarge the image"
            )
        return rows, columns

    def origin_yx(self, cell: Pair) -> Pair:
        """Returns the top-left pixel `(y, x)` of the window of cell `(i, j)`."""
        return cell[0] * self.stride_px[0], cell[1] * self.stride_px[1]

    def box_xyxy(self, cell: Pair) -> BoxXyxy:
        """Returns the window of cell `(i, j)` as half-open pixels `(x0, y0, x1, y1)`."""
        y, x = self.origin_yx(cell)
        return x, y, x + self.window_px[1], y + self.window_px[0]

    def extent_px(self, cells: Pair) -> Pair:
        """Returns the size `(height, width)` in pixels that `(rows, columns)` neighbouring windows cover."""
        return (
            self.window_px[0] + (cells[0] - 1) * self.stride_px[0],
            self.window_px[1] + (cells[1] - 1) * self.stride_px[1],
        )


def format_size(size: Pair) -> str:
    """Returns `(height, width)` the way people write it.

    >>> format_size((128, 64))
    '64x128'
    """
    return f"{size[1]}x{size[0]}"


def parse_size(text: str) -> Pair:
    """Returns `(height, width)` from `WxH`, or from one number for a square.

    >>> parse_size("64x128"), parse_size("25")
    ((128, 64), (25, 25))

    Raises:
        OptionError: the text is not one or two whole numbers of at least 1.
    """
    parts = text.lower().split("x")
    if len(parts) in (1, 2) and all(part.isdecimal() and int(part) > 0 for part in parts):
        return int(parts[-1]), int(parts[0])
    raise OptionError(f"expected a size as WIDTHxHEIGHT in pixels, such as 64x128, got {text!r}")
