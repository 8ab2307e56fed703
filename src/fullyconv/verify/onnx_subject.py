"""What checking a converted network against an ONNX file needs to know of it."""

from __future__ import annotations

import torch

from fullyconv.capture.onnx_file import capture_onnx
from fullyconv.capture.onnx_model import OnnxModel
from fullyconv.capture.onnx_session import OnnxSession
from fullyconv.rewrite.conversion import convert
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.verify.splits import Probe, SplitTensor
from fullyconv.verify.subject import Subject, count_windows, find_feature_maps


def describe_onnx(dense: DenseModel, original: OnnxModel, seed: int) -> Subject:
    """Returns what checking `dense` needs to know of it; the file is captured only to name its feature maps.

    Raises:
        CaptureError: the original cannot run at the window.
    """
    captured = capture_onnx(original, dense.grid.window_px, dense.card.channels)
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(captured.graph.image.shape, generator=generator, dtype=torch.float64)
    is_approximate = dense.image_report.guarantee == "approximation"  # then nothing equals a patch
    maps = () if is_approximate else find_feature_maps(dense, captured.graph)
    names = [feature_map.value for feature_map in maps]
    session = OnnxSession(original.model, extra_outputs=[name for name in names if name != original.image])
    array = image.numpy().astype(original.dtype)
    found = session.run({original.image: array}, [name for name in names if name != original.image])
    values = {original.image: image, **{name: torch.from_numpy(value) for name, value in found.items()}}
    probe = Probe(image, tuple(SplitTensor(name, values[name]) for name in names))
    report, exact = dense.report, None
    if report.guarantee == "approximation":
        exact = convert(original, dense.grid.window_px, stride=dense.grid.stride_px).module
    windows = count_windows(captured.graph)
    return Subject(dense.module, dense.grid, report.guarantee, report.align, probe, windows, exact)
