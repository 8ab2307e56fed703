"""A fingerprint of a dense network: the same for the same program with the same weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.grid_module import GridModule

if TYPE_CHECKING:
    import onnx_ir as ir


def make_fingerprint(module: GridModule) -> str:
    """Returns the fingerprint of a dense network, 32 hexadecimal digits."""
    digest = hashlib.blake2b(repr(module.program).encode(), digest_size=16)
    for part in _list_weights(module) if isinstance(module, DenseModule) else _list_models(module):
        digest.update(part)
    return digest.hexdigest()


def _list_weights(module: DenseModule) -> Iterator[Any]:
    for name in module.weight_names:
        weight = module.get_weight(name).detach().cpu().contiguous()
        yield f"{name} {weight.dtype} {tuple(weight.shape)}".encode()
        yield weight.flatten().view(torch.uint8).numpy().data


def _list_models(module: Any) -> Iterator[Any]:
    for model in (module.model, module.head_model):
        if model is not None:
            yield from _list_parts(model)


def _list_parts(model: ir.Model) -> Iterator[Any]:
    for node in model.graph:
        read, made = [value and value.name for value in node.inputs], [value.name for value in node.outputs]
        yield f"{node.op_type} {read} {made} {list(node.attributes.values())}".encode()
    for name, value in model.graph.initializers.items():
        if value.const_value is not None:
            yield f"{name} {value.const_value.dtype} {value.const_value.shape}".encode()
            yield value.const_value.tobytes()
