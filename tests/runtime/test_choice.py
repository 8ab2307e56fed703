"""A choice in one line."""

from __future__ import annotations

from fullyconv.runtime.choice import Choice, Trial
from fullyconv.runtime.specification import Runtime

TORCH, OPENVINO, ONNX = Runtime(), Runtime("openvino"), Runtime("onnxruntime")


def test_a_measurement_says_all():
    trials = (
        Trial(TORCH, 0.5, 0.0),
        Trial(Runtime(form="channels-last"), 0.4, 1e-7),
        Trial(OPENVINO, 0.25, 3e-7),
        Trial(ONNX, problem="onnx is not installed"),
        Trial(Runtime(form="compiled"), problem="onnx is not installed"),
    )
    choice = Choice(OPENVINO, "", trials, (512, 1024))
    assert choice.error == 3e-7
    assert str(choice) == (
        "runtime: openvino, 0.25 s for 1024x512 against 0.5 s on torch (2.0 times as fast); logits within 3e-07 "
        "(allowed 1e-04); slower: torch-channels-last 0.4 s; "
        "dropped: onnxruntime, torch-compiled (onnx is not installed)"
    )


def test_the_first_may_be_the_fastest():
    choice = Choice(TORCH, "", (Trial(TORCH, 0.5, 0.0), Trial(ONNX, 0.6, 1e-7)), (64, 64), is_remembered=True)
    assert str(choice) == "runtime: torch, 0.5 s for 64x64, measured earlier; slower: onnxruntime 0.6 s"


def test_without_one_there_is_a_reason():
    assert str(Choice(ONNX, "as asked for")) == "runtime: onnxruntime, as asked for"
    assert Choice(ONNX, "as asked for").error is None
    asked = Choice(Runtime(device="cuda"), "as asked for", (Trial(Runtime(device="cuda"), error=2e-6),))
    assert str(asked) == "runtime: torch on cuda, as asked for; logits within 2e-06 (allowed 1e-04)"
