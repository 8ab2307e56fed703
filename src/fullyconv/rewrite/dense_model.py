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
from fullyconv.rewrite.asked import read_pair
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.grid_module import GridModule
from fullyconv.rewrite.program import OnnxProgram
from fullyconv.rewrite.refined import list_steps
from fullyconv.rewrite.report import ConversionReport, describe_windows
from fullyconv.runtime.choice import Choice
from fullyconv.runtime.specification import Precision
from fullyconv.runtime.torch_eager import Images, read_images, run_eagerly
from fullyconv.runtime.work import Work

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
        runner: what runs it in the module's place, from `on`.
        choice: why that one.
    """

    grid: Grid
    card: ModelCard
    image_report: ConversionReport
    module: GridModule | CropModule = field(repr=False)
    image_margins_px: Margins = ((0, 0), (0, 0))
    feature_maps: tuple[FeatureMap, ...] = ()
    runner: GridModule | None = field(default=None, repr=False)
    choice: Choice | None = None

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

    @property
    def possible_strides_px(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The strides that `refine` takes, down and across, the coarsest first; what it has now where that is all."""
        if isinstance(self.module, DenseModule):
            rows, columns = list_steps(self.module.program)
            return tuple(rows), tuple(columns)
        return (self.grid.stride_px[0],), (self.grid.stride_px[1],)

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
        return run_eagerly(self.module, images, self.runner)

    def on(
        self,
        runtime: str = "auto",
        *,
        precision: Precision = "exact",
        device: str | None = None,
        max_error: float | None = None,
        work: Work | None = None,
    ) -> DenseModel:
        """Returns the same network, run by another library or on another device; `choice` says by which and why.

        Args:
            runtime: "torch", "torch-channels-last", "torch-compiled", "onnxruntime" or "openvino"; or "auto" for the
                fastest of them on this machine, which is measured once and remembered in the user's cache directory.
            precision: "exact" computes in the network's own number type; "fast" may compute in bfloat16 or float16.
            device: "cpu", "cuda" or "cuda:N"; by default where the network is.
            max_error: how far logits may be from the network's own, relative to the largest, measured on an image of
                noise; by default 1e-4, or 2e-2 for "fast".
            work: what is to be done, which tells "auto" what to measure, and whether that is worth it.

        Raises:
            CaptureError: the runtime cannot load or run the network.
            MissingExtraError: its library is not installed.
            ModelError: the network has no form for it, or logits are further off than `max_error`.
            OptionError: an argument has no meaning, or this machine has no such device.
        """
        from fullyconv.rewrite.choosing import Wish, choose

        runner, choice = choose(self, Wish(runtime, precision, device, max_error, work or Work()))
        return replace(self, runner=runner, choice=choice)

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> DenseModel:
        """Returns a copy of other precision or on another device, run by torch; this one is not changed.

        Raises:
            ModelError: it is an ONNX network, which has the precision of its file.
        """
        if isinstance(self.module, GridModule) and isinstance(self.module.program, OnnxProgram):
            raise ModelError("an ONNX network keeps the number type of its file and runs on the CPU")
        module = copy.deepcopy(self.module).to(device=device, dtype=dtype)
        return replace(self, module=module, runner=None, choice=None)

    def refine(self, stride: int | Pair) -> DenseModel:
        """Returns the same network on a finer grid, on the same weights; this one is not changed.

        Every strided operation runs at all its phases, which become fragments of the map; everything after it runs as
        it does on each. The scores of the coarser grid are among those of the finer one.

        Args:
            stride: pixels between neighbouring scores, `(sy, sx)` or one number for both.

        Raises:
            ModelError: it is an ONNX network, and a part of it has no ONNX form on fragments.
            OptionError: the network's own strides do not allow it; the message lists what they allow. Or it was loaded
                from an ONNX file, which holds one stride.
        """
        pair = read_pair("stride", "(y, x)", (stride, stride) if isinstance(stride, int) else stride)
        module, runner = self.module.refine(pair), self.runner and self.runner.refine(pair)
        return replace(self, module=module, runner=runner, grid=replace(self.grid, stride_px=pair), choice=None)

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
        runner = self.runner and self.runner.with_window_memory(memory_bytes)
        return replace(self, module=self.module.with_window_memory(memory_bytes), runner=runner)

    def with_fragment_memory(self, memory_bytes: int) -> DenseModel:
        """Returns the same network, on the same weights, with other groups of fragments; scores are the same.

        Args:
            memory_bytes: about what the maps of one group may take, on a grid finer than the network's own.

        Raises:
            OptionError: not at least one byte.
        """
        if memory_bytes < 1:
            raise OptionError(f"fragment memory: expected at least 1 byte, got {memory_bytes}")
        if not isinstance(self.module, DenseModule):  # others have no fragments
            return self
        return replace(self, module=self.module.with_fragment_memory(memory_bytes))

    def with_border(self, border: Border) -> DenseModel:
        """Returns the network with its padding elsewhere, on the same weights; this one is not changed.

        Args:
            border: "image", "first-order" or "window"; see `convert`.

        Raises:
            OptionError: it is none of these, or first-order for outputs that are whole numbers.
        """
        check_border(border)
        where: Border = "image" if self.image_report.guarantee == "image crops" else border
        runner = self.runner and self.runner.with_border(where)
        card = replace(self.card, border=border)
        return replace(self, card=card, module=self.module.with_border(where), runner=runner)

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
