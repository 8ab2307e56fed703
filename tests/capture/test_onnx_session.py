"""What onnxruntime must leave alone."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from fullyconv.capture.onnx_session import choose_disabled


def make_model(gigabytes: float) -> ir.Model:
    """Returns a model whose one weight is said to lie in a file, which nobody reads."""
    shape = ir.Shape([int(gigabytes * 2**30 / 4)])
    tensor = ir.ExternalTensor("nowhere", 0, 4 * shape.numpy()[0], ir.DataType.FLOAT, name="w", shape=shape)
    weight = ir.Value(name="w", shape=shape, type=ir.TensorType(ir.DataType.FLOAT), const_value=tensor)
    return ir.Model(ir.Graph([], [], nodes=[], initializers=[weight], opset_imports={"": 18}), ir_version=10)


@pytest.mark.parametrize(("gigabytes", "expected"), [(1.5, ["Pad_Fusion"]), (2, ["Pad_Fusion", "NchwcTransformer"])])
def test_weights_too_large_for_a_protocol_buffer_keep_their_order(gigabytes, expected):
    assert choose_disabled(make_model(gigabytes)) == expected
