"""Where the cells of a map lie, along one axis: pure integers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import lcm


@dataclass(frozen=True, slots=True)
class Sliding:
    """How an operation slides along one axis.

    Attributes:
        kernel: cells from the first tap to the last, dilation included.
        stride: cells between neighbouring outputs.
        before: padding before the first cell; negative values crop.
        after: padding after the last cell; negative values crop.
        ceil: whether a last, partial placement counts.
        finer: how many cells each output is divided into, as a pixel shuffle does.
        folds: whether it only folds neighbouring cells into channels, as a reshape does.
    """

    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    ceil: bool = False
    finer: int = 1
    folds: bool = False

    def count(self, cells: int) -> int:
        """Returns the number of outputs on `cells` inputs, as PyTorch's pooling layers define it."""
        free = cells + self.before + self.after - self.kernel
        if not self.ceil:
            return (free // self.stride + 1) * self.finer
        outputs = -(-free // self.stride) + 1
        # a placement that would start in the padding after the last cell is dropped
        return outputs - ((outputs - 1) * self.stride >= cells + self.before)

    @property
    def pads(self) -> bool:
        """Whether it adds anything at a border."""
        return self.before > 0 or self.after > 0


@dataclass(frozen=True, slots=True)
class Line:
    """One axis of a map.

    Attributes:
        extent: cells that one window covers.
        stride: pixels between neighbouring cells.
        first: cell `j` depends on pixels from `j * stride + first` ...
        last: ... up to and without `j * stride + last`. Where cells are cropped and others padded after that, these
            pixels include those that must be there lest padding takes the place of what was cropped.
        slides: all that happened since the image, to count cells on any image.
        period: windows that begin at multiples of so many pixels see the same network; 0 stands for the stride.
            It is a multiple of the stride: cells that a pixel shuffle made lie closer together than windows may.
        enough: on an image of at least `j * stride + enough` pixels there is a cell `j`.
    """

    extent: int
    stride: int = 1
    first: int = 0
    last: int = 1
    slides: tuple[Sliding, ...] = ()
    period: int = 0
    enough: int = 1

    def __post_init__(self) -> None:
        """Puts the stride where no period is given."""
        object.__setattr__(self, "period", self.period or self.stride)

    @property
    def is_folded(self) -> bool:
        """Whether a reshape folded cells into channels somewhere before."""
        return any(sliding.folds for sliding in self.slides)

    def slide(self, sliding: Sliding) -> Line:
        """Returns the axis after an operation."""
        return Line(
            extent=sliding.count(self.extent),
            stride=self.stride * sliding.stride,
            first=min(self.first, 0) - sliding.before * self.stride,
            last=max(self.last, self.enough) + (sliding.kernel - 1 - sliding.before) * self.stride,
            slides=(*self.slides, sliding),
            period=lcm(self.period, self.stride * sliding.stride),
            enough=self.enough + (sliding.kernel - 1 - sliding.before - sliding.after) * self.stride,
        )

    def pads_cells(self, window: int) -> bool:
        """Returns whether some cells of a window see nothing of it: they are padding and nothing else.

        >>> padded = Line(extent=8).slide(Sliding(before=2))
        >>> padded.pads_cells(8), padded.slide(Sliding(kernel=3)).pads_cells(8)
        (True, False)
        """
        return self.last <= 0 or (self.extent - 1) * self.stride + self.first >= window

    def refine(self, cells: int) -> Line:
        """Returns the axis when each cell becomes `cells` of them, which must divide the stride.

        >>> Line(extent=64).slide(Sliding(stride=4)).refine(2).count(67)
        34
        """
        stride = self.stride // cells
        return replace(
            self,
            extent=self.extent * cells,
            stride=stride,
            first=self.first - (cells - 1) * stride,
            slides=(*self.slides, Sliding(finer=cells)),
        )

    def widen_to_window(self) -> Line:
        """Returns the axis when each cell depends on as many cells around it as one window covers.

        Of an even number, one more lies after the cell than before it.
        """
        before, after = (self.extent - 1) // 2, self.extent // 2
        first, last = min(self.first, 0), max(self.last, self.enough)
        return replace(self, first=first - before * self.stride, last=last + after * self.stride)

    def count(self, pixels: int) -> int:
        """Returns the number of cells on an image of `pixels`.

        >>> Line(extent=64).slide(Sliding(kernel=3, stride=2, before=1, after=1)).count(64)
        32
        """
        cells = pixels
        for sliding in self.slides:
            cells = sliding.count(cells)
        return cells

    def join(self, other: Line) -> Line:
        """Returns the axis of something that depends on a cell of both; `self` says how to count."""
        first, last = min(self.first, other.first), max(self.last, other.last)
        enough = max(self.enough, other.enough)
        return replace(self, first=first, last=last, period=lcm(self.period, other.period), enough=enough)

    def agrees(self, other: Line, window: int) -> bool:
        """Returns whether both have equally many cells on every image that is at least `window` pixels.

        Counting repeats with the period, so one proves it for all sizes.
        """
        period = lcm(self.period, other.period)
        return all(self.count(pixels) == other.count(pixels) for pixels in range(window, window + period))
