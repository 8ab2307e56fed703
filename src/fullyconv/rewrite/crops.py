"""The last resort: the classifier itself, as it is, on batched crops of the image."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from fullyconv.analyze.plan import Cut, Output
from fullyconv.capture.batching import mixes_batch, reads_values
from fullyconv.capture.footprint import LargestOperation
from fullyconv.capture.module import copy_module
from fullyconv.capture.structure import fill_structure, make_structure
from fullyconv.card import Border
from fullyconv.errors import CaptureError, OptionError
from fullyconv.graph import Pair
from fullyconv.grid import Grid, format_size
from fullyconv.rewrite.windowed import WINDOW_MEMORY_BYTES, Batching, lay_on_grid, run_windows

# As for tiles: a residual branch may be waiting, and the kernels work on copies of their own.
_SAFETY = 2


@dataclass(frozen=True, slots=True)
class CropLayout:
    """How a classifier runs on crops.

    Attributes:
        grid: where the crops lie.
        cut: the crops as windows of the image.
        outputs: the classifier's outputs.
        structure: how they are put together.
        batch: the fewest windows that it runs on at a time.
        is_free: whether windows may share a batch; otherwise each is run by itself.
        window_bytes: about what one window takes while it runs; 0 where each is run by itself.
    """

    grid: Grid
    cut: Cut
    outputs: tuple[Output, ...]
    structure: Any
    batch: int
    is_free: bool
    window_bytes: int


class CropModule(nn.Module):
    """A classifier on batched crops: `(N, C, H, W)` of any size from the window on -> `(N, K, Gy, Gx)`.

    Attributes:
        classifier: a copy of the user's module, in evaluation mode.
        layout: how it runs.
        memory_bytes: what the windows of one batch may take.
    """

    def __init__(self, classifier: nn.Module, layout: CropLayout) -> None:
        """Takes the classifier, which is not copied."""
        super().__init__()
        self.classifier = classifier
        self.layout = layout
        self.memory_bytes = WINDOW_MEMORY_BYTES
        self.training = False  # as the classifier; eval() is forbidden on exported programs

    def forward(self, images: Tensor) -> Any:
        """Returns the scores of all windows.

        Args:
            images: `(N, C, H, W)`, of the weights' dtype.

        Raises:
            CaptureError: the classifier gives something else for some windows.
            ImageError: the image is smaller than the window.
        """
        layout = self.layout
        grid = layout.grid.shape((int(images.shape[2]), int(images.shape[3])))
        # What the classifier does may be forbidden to tensors of inference mode, so its windows are none.
        with torch.inference_mode(False), torch.no_grad():
            values = run_windows(self._score, (layout.cut,), (images,), grid, self._choose_batching())
        maps = [lay_on_grid(v, output, len(images), grid) for v, output in zip(values, layout.outputs, strict=True)]
        return fill_structure(layout.structure, maps)

    def logits(self, images: Tensor) -> Any:
        """Returns the scores: what comes before a last activation is not known."""
        return self(images)

    def with_border(self, border: Border) -> CropModule:
        """Returns itself: the padding of crops is their own in any case."""
        return self

    def refine(self, stride: Pair) -> CropModule:
        """Returns the same classifier on crops `stride` pixels apart, whatever the distance was.

        Raises:
            OptionError: it is not at least one pixel.
        """
        if min(stride) < 1:
            raise OptionError(f"stride: expected at least 1 pixel, got {format_size(stride)}")
        other = copy.copy(self)
        grid = replace(self.layout.grid, stride_px=stride)
        other.layout = replace(self.layout, grid=grid, cut=replace(self.layout.cut, step=stride))
        return other

    def with_window_memory(self, memory_bytes: int) -> CropModule:
        """Returns the classifier on other batches of windows."""
        other = copy.copy(self)
        other.memory_bytes = memory_bytes
        return other

    def _choose_batching(self) -> Batching:
        layout = self.layout
        if not layout.is_free:
            return Batching(1, layout.batch)
        return Batching(max(layout.batch, self.memory_bytes // max(layout.window_bytes, 1)), layout.batch)

    def _score(self, windows: list[Tensor], count: int) -> list[Tensor]:
        leaves = [leaf for leaf in pytree.tree_leaves(self.classifier(windows.pop())) if leaf is not None]
        return [_check(leaf, count, output.shape) for leaf, output in zip(leaves, self.layout.outputs, strict=True)]


def make_crop_module(module: nn.Module, image: Tensor, stride: Pair, *, alone: bool = False) -> CropModule:
    """Returns the classifier on crops, `stride` pixels from one to the next; `module` is not changed.

    Args:
        module: runs on `image`.
        image: random windows `(B, C, height, width)`, B the batch size that suits it.
        stride: `(sy, sx)` in pixels.
        alone: whether it is known that windows may not share a batch.

    Raises:
        CaptureError: its outputs are no scores of the B windows.
        ModelError: it cannot be copied.
    """
    classifier = copy_module(module)
    with torch.no_grad():
        leaves, spec = pytree.tree_flatten(classifier(image.clone()))
    given = [leaf is not None for leaf in leaves]
    is_free = not (alone or reads_values(classifier, image) or mixes_batch(classifier, image))
    window = int(image.shape[2]), int(image.shape[3])
    axes = (0, 1, 2, 3)
    layout = CropLayout(
        grid=Grid(window, stride, window),
        cut=Cut("image", "image", window, stride, (image.shape[1],), axes, tuple(image.shape), 0),
        outputs=tuple(_make_output(str(place), leaf, len(image)) for place, leaf in enumerate(compress(leaves, given))),
        structure=make_structure(spec, given),
        batch=_find_least_batch(classifier, image),
        is_free=is_free,
        window_bytes=_measure_window(classifier, image) if is_free else 0,
    )
    return CropModule(classifier, layout)


def _measure_window(classifier: nn.Module, image: Tensor) -> int:
    """Returns about what one window takes while it runs, in bytes."""
    largest = LargestOperation(classifier)
    with torch.no_grad(), largest:
        classifier(image.clone())
    return _SAFETY * largest.bytes // len(image)


def _find_least_batch(classifier: nn.Module, image: Tensor) -> int:
    try:
        with torch.no_grad():
            classifier(image[:1].clone())
    except Exception:  # whatever a forward says to a batch that it does not take
        return len(image)
    return 1


def _make_output(name: str, leaf: Any, count: int) -> Output:
    if not isinstance(leaf, Tensor) or leaf.dim() == 0 or len(leaf) != count:
        got = tuple(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__
        raise CaptureError(f"the model's output {name}: expected scores of {count} windows, (B, ...), got {got}")
    return Output(name, "", (), (), tuple(size for size in leaf.shape[1:] if size > 1) or (1,))


def _check(leaf: Any, count: int, shape: tuple[int, ...]) -> Tensor:
    """Returns the scores `(B, d1, ...)` of B windows; a classifier may drop the batch where it is one window."""
    wanted = torch.Size((count, *shape))
    if not isinstance(leaf, Tensor) or leaf.numel() != wanted.numel():
        got = tuple(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__
        raise CaptureError(f"the model gives {got} for {count} windows of this image, expected {tuple(wanted)}")
    return leaf.reshape(wanted)
