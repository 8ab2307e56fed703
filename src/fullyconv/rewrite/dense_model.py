"""The converted network with all that is known of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from fullyconv.analyze.plan import FeatureMap
from fullyconv.capture.onnx_model import is_onnx
from fullyconv.card import Border, ModelCard, check_border
from fullyconv.errors import ImageError, ModelError, OptionError
from fullyconv.graph import Pair
from fullyconv.grid import Grid
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.rewrite.program import OnnxProgram
from fullyconv.rewrite.report import ConversionReport, describe_windows
from fullyconv.runtime.torch_eager import Images, read_images, run_eagerly

Margins = tuple[Pair, Pair]


@dataclass(frozen=True, slots=True)
class DenseModel:
    """A fully convolutional network that equals a classifier at every window of an image.

    Attributes:
        grid: where its scores lie.
        card: what it expects, and what its outputs mean.
        image_report: how it was converted, and what its scores equal while its padding is at the image's border.
        module: the network; runs on `(N, C, H, W)`, any H and W from the window on.
        image_margins_px: the margins while its padding is at the image's border.
        feature_maps: the trunk's last tensors, for verification.
    """

    grid: Grid
    card: ModelCard
    image_report: ConversionReport
    module: GridModule | CropModule = field(repr=False)
    image_margins_px: Margins = ((0, 0), (0, 0))
    feature_maps: tuple[FeatureMap, ...] = ()

    @property
    def report(self) -> ConversionReport:
        """How it was converted and what its scores equal, with its padding where the card says."""
        return describe_windows(self.image_report) if self._runs_windows else self.image_report

    @property
    def margins_px(self) -> Margins:
        """Pixels outside a window that its score depends on: `((top, bottom), (left, right))`.

        All 0 where scores equal image crops. Top and left are multiples of the stride.
        """
        return ((0, 0), (0, 0)) if self._runs_windows else self.image_margins_px

    @property
    def own_stride_px(self) -> Pair:
        """Pixels between neighbouring scores at the network's own stride, `(sy, sx)`: the coarsest it was made for."""
        program = getattr(self.module, "program", None)
        return getattr(program, "own_stride", self.grid.stride_px)

    def __call__(self, images: Images) -> Any:
        """Returns the scores of all windows, as torch tensors or numpy arrays, like the images.

        Args:
            images: `(N, C, H, W)` floats, preprocessed as the card says, H and W at least the window; of any
                float dtype, the network's own is used.

        Returns:
            `(N, K, Gy, Gx)`, with `(Gy, Gx) = grid.shape((H, W))`; a model with several outputs gives them in
            its own structure, one with more axes `(N, d1, ..., Gy, Gx)`.

        Raises:
            ImageError: no tensor or array, no image, another rank, other channels, whole numbers, or smaller than
                the window.
        """
        self._check(read_images(images).shape)
        return run_eagerly(self.module, images)

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> DenseModel:
        """Returns a copy of other precision or on another device; this one is not changed.

        Raises:
            ModelError: it is an ONNX network, which has the precision of its file.
        """
        if isinstance(self.module, GridModule) and isinstance(self.module.program, OnnxProgram):
            raise ModelError("an ONNX network keeps the number type of its file and runs on the CPU")
        return replace(self, module=copy.deepcopy(self.module).to(device=device, dtype=dtype))

    def refine(self, stride: int | Pair) -> DenseModel:
        """Returns the same network on a finer grid, on the same weights; this one is not changed.

        Every strided operation runs at all its phases, which become fragments of the map; everything after it runs as
        it does on each. The scores of the coarser grid are among those of the finer one.

        Args:
            stride: pixels between neighbouring scores, `(sy, sx)` or one number for both.

        Raises:
            OptionError: the network's own strides do not allow it; the message lists what they allow.
        """
        pair = (stride, stride) if isinstance(stride, int) else stride
        return replace(self, module=self.module.refine(pair), grid=replace(self.grid, stride_px=pair))

    def with_window_memory(self, memory_bytes: int) -> DenseModel:
        """Returns the same network, on the same weights, with other batches of windows; scores are the same.

        Args:
            memory_bytes: about what the windows of one batch may take while they run, where a part of the network
                runs on windows. More is not faster on a CPU; a GPU may want much more.

        Raises:
            OptionError: not at least one byte.
        """
        if memory_bytes < 1:
            raise OptionError(f"window memory: expected at least 1 byte, got {memory_bytes}")
        module = copy.copy(self.module)
        module.memory_bytes = memory_bytes
        return replace(self, module=module)

    def with_border(self, border: Border) -> DenseModel:
        """Returns the network with its padding elsewhere, on the same weights; this one is not changed.

        Args:
            border: "image", "first-order" or "window"; see `convert`.

        Raises:
            OptionError: it is none of these, or first-order for outputs that are whole numbers.
        """
        check_border(border)
        module = self.module.with_border("image" if self.image_report.guarantee == "image crops" else border)
        return replace(self, card=replace(self.card, border=border), module=module)

    @property
    def _runs_windows(self) -> bool:
        return self.card.border == "window" and self.image_report.guarantee != "image crops"

    def save(self, path: str | Path) -> None:
        """Writes the network with its card, grid and report; `fullyconv.load` needs nothing else.

        A file whose name ends in `.onnx` is an ONNX model for images of any size, which any runtime can run; a network
        with a part on windows takes a second one, `.head.onnx`. Any other is a program of torch.export.

        Raises:
            ModelError: the classifier could not be followed, so there is no program to write.
            OutputError: the file cannot be written.
        """
        from fullyconv.rewrite.file import save_dense
        from fullyconv.rewrite.onnx_export import save_as_onnx

        (save_as_onnx if is_onnx(path) else save_dense)(self, Path(path))

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 4 or shape[1] != self.card.channels or not shape[0]:
            raise ImageError(
                f"images: expected (N, {self.card.channels}, H, W) with at least one image, got {tuple(shape)}; "
                f"the network takes {self.card.channels} channels"
            )
