"""Where the cells of a map lie, along one axis: pure integers."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Sliding:
    """How an operation slides along one axis.

    Attributes:
        kernel: cells from the first tap to the last, dilation included.
        stride: cells between neighbouring outputs.
        before: padding before the first cell; negative values crop.
        after: padding after the last cell; negative values crop.
        ceil: whether a last, partial placement counts.
    """

    kernel: int = 1
    stride: int = 1
    before: int = 0
    after: int = 0
    ceil: bool = False

    def count(self, cells: int) -> int:
        """Returns the number of outputs on `cells` inputs, as PyTorch's pooling layers define it."""
        free = cells + self.before + self.after - self.kernel
        if not self.ceil:
            return free // self.stride + 1
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
        last: ... up to and without `j * stride + last`.
        slides: all that happened since the image, to count cells on any image.
    """

    extent: int
    stride: int = 1
    first: int = 0
    last: int = 1
    slides: tuple[Sliding, ...] = ()

    def slide(self, sliding: Sliding) -> Line:
        """Returns the axis after an operation."""
        return Line(
            extent=sliding.count(self.extent),
            stride=self.stride * sliding.stride,
            first=self.first - sliding.before * self.stride,
            last=self.last + (sliding.kernel - 1 - sliding.before) * self.stride,
            slides=(*self.slides, sliding),
        )

    def widen_to_window(self) -> Line:
        """Returns the axis when each cell depends on as many cells around it as one window covers.

        Of an even number, one more lies after the cell than before it.
        """
        before, after = (self.extent - 1) // 2, self.extent // 2
        return replace(self, first=self.first - before * self.stride, last=self.last + after * self.stride)

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
        return replace(self, first=min(self.first, other.first), last=max(self.last, other.last))

    def agrees(self, other: Line, window: int) -> bool:
        """Returns whether both have equally many cells on every image that is at least `window` pixels.

        Counting repeats with the stride, so one period proves it for all sizes.
        """
        period = max(self.stride, other.stride)
        return all(self.count(pixels) == other.count(pixels) for pixels in range(window, window + period))
