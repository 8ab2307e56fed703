"""ONNX models in the form that libraries read: as bytes, or as a file where they are large."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fullyconv.capture.onnx_model import measure_weights

if TYPE_CHECKING:
    import onnx_ir as ir
    from onnx import ModelProto


@dataclass(frozen=True, slots=True)
class Written:
    """A model in the form that libraries read.

    Attributes:
        content: the whole file, or where it is large, the path of one.
        outputs: the names of its outputs.
    """

    content: bytes | Path
    outputs: tuple[str, ...]


@contextmanager
def writing_model(
    model: ir.Model,
    extra_outputs: Sequence[str] = (),
    *,
    most_bytes: int,
    change: Callable[[ModelProto], None] | None = None,
) -> Iterator[Written]:
    """Yields a model as libraries read it, which is not changed; a file loses its name after the block.

    Args:
        model: the model.
        extra_outputs: values of its graph that are to be outputs too.
        most_bytes: of weights in memory; models of more go by a file.
        change: what to do to its nodes before.
    """
    import onnx
    import onnx_ir as ir

    if measure_weights(model) < most_bytes:
        proto = ir.to_proto(model)
        outputs = _prepare(proto, extra_outputs, change)
        yield Written(proto.SerializeToString(), outputs)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # some systems keep what is mapped
        path = Path(folder) / "model.onnx"
        ir.save(model, path, external_data="weights.bin")
        proto = onnx.load(path, load_external_data=False)
        outputs = _prepare(proto, extra_outputs, change)
        path.write_bytes(proto.SerializeToString())
        yield Written(path, outputs)


def _prepare(
    proto: ModelProto, extra_outputs: Sequence[str], change: Callable[[ModelProto], None] | None
) -> tuple[str, ...]:
    import onnx

    known = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in extra_outputs if name not in known)
    if change is not None:
        change(proto)
    return tuple(value.name for value in proto.graph.output)
