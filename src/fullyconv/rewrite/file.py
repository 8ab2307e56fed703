"""Dense networks on disk: a torch.export file of the network at window size, with the dense program inside.

So torch alone can open the file and run one window; `fullyconv.load` reads the program beside it, which runs
on any size. Weights are stored once. Loading runs no code from the file.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from fullyconv.analyze.plan import Cut, FeatureMap, Output
from fullyconv.capture.call_json import dump_call, load_call
from fullyconv.capture.calls import Call, find_operation
from fullyconv.capture.onnx_model import is_onnx
from fullyconv.capture.pt2 import load_program, save_program
from fullyconv.card import ModelCard
from fullyconv.errors import ModelError
from fullyconv.grid import Grid
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.json_values import dump_value, load_value
from fullyconv.rewrite.program import GridCall, Instruction, Program, StepCalls, WindowedHead
from fullyconv.rewrite.report import ConversionReport

DENSE_FILE = "fullyconv_dense.json"
FORMAT = 5


def save_dense(dense: DenseModel, path: Path) -> None:
    """Writes a dense network, whole or not at all.

    Raises:
        ModelError: it runs the classifier's own Python code, which no file holds.
        OutputError: the file cannot be written.
    """
    if not isinstance(dense.module, DenseModule | CropModule):
        raise ModelError(f"{path}: this network came from an ONNX file; save it as .onnx")
    if isinstance(dense.module, CropModule):
        raise ModelError(
            f"{path}: this network cannot be saved, because it runs the classifier's own code on crops: "
            f"{dense.report.reasons[0]}; make the forward free of that, or use the network from Python"
        )
    module = dense.module.with_border("image")  # at one window all borders are the same
    first = next(iter([*module.parameters(), *module.buffers()]), torch.zeros(()))
    image = torch.zeros(1, dense.card.channels, *dense.grid.window_px, dtype=first.dtype, device=first.device)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about torch's own internals
        program = torch.export.export(module, (image,), strict=False)
    save_program(program, path, {DENSE_FILE: json.dumps(_dump_dense(dense), indent=1)})


def load_dense(path: str | Path) -> DenseModel:
    """Returns the dense network of a file; nothing but the file is needed, and no code in it runs.

    Raises:
        ModelError: there is no such file, it is no dense network, it is damaged or carries code.
    """
    path = Path(path)
    if is_onnx(path):
        from fullyconv.rewrite.onnx_files import load_onnx_dense

        return load_onnx_dense(path)
    program, extra_files = load_program(path)
    text = extra_files.get(DENSE_FILE)
    if not text:
        raise ModelError(
            f"{path}: expected a dense network, got a classifier; convert it first: fullyconv convert {path}"
        )
    try:
        return _load_dense(json.loads(text), program)
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: the dense network inside is damaged ({type(error).__name__}: {error})") from None


def _dump_dense(dense: DenseModel) -> dict[str, Any]:
    module = dense.module
    assert isinstance(module, DenseModule)  # save_dense refuses others
    program = module.program
    head = program.head
    return {
        "format": FORMAT,
        "grid": dump_value(Grid, dense.grid),
        "card": dump_value(ModelCard, dense.card),
        "report": dump_value(ConversionReport, dense.image_report),
        "margins_px": dense.image_margins_px,
        "feature_maps": dump_value(tuple[FeatureMap, ...], dense.feature_maps),
        "weights": list(module.weight_names),
        "parameters": [name for name, _ in module.named_parameters()],
        "program": {
            "image": program.image,
            "instructions": [_dump_instruction(instruction) for instruction in program.instructions],
            "head": head and {
                "cuts": dump_value(tuple[Cut, ...], head.cuts),
                "calls": [dump_call(call) for call in head.calls],
                "batch": head.batch,
                "is_free": head.is_free,
                "window_values": head.window_values,
            },
            "outputs": dump_value(tuple[Output, ...], program.outputs),
            "logits": dump_value(tuple[Output, ...], program.logits),
            "structure": _dump_structure(program.structure),
            "align": program.align,
            "own_stride": program.own_stride,
            "steps": dump_value(tuple[StepCalls, ...], program.steps),
        },
    }  # fmt: skip


def _load_dense(data: dict[str, Any], exported: torch.export.ExportedProgram) -> DenseModel:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, this version reads {FORMAT}; convert the classifier again")
    grid, card = load_value(Grid, data["grid"]), load_value(ModelCard, data["card"])
    parts, head = data["program"], data["program"]["head"]
    program = Program(
        image=parts["image"],
        window=grid.window_px,
        stride=grid.stride_px,
        instructions=tuple(_load_instruction(instruction) for instruction in parts["instructions"]),
        head=head and WindowedHead(
            load_value(tuple[Cut, ...], head["cuts"]),
            tuple(_load_call(call) for call in head["calls"]),
            int(head["batch"]),
            bool(head["is_free"]),
            int(head["window_values"]),
        ),
        outputs=load_value(tuple[Output, ...], parts["outputs"]),
        logits=load_value(tuple[Output, ...], parts["logits"]),
        structure=_load_structure(parts["structure"]),
        align=bool(parts["align"]),
        own_stride=load_value(tuple[int, int], parts["own_stride"]),
        steps=load_value(tuple[StepCalls, ...], parts["steps"]),
    )  # fmt: skip
    stored = {**exported.constants, **exported.state_dict}
    weights = {name: stored[name].detach() for name in data["weights"]}
    dense = DenseModel(
        grid=grid,
        card=card,
        image_report=load_value(ConversionReport, data["report"]),
        module=DenseModule(program, weights, frozenset(data["parameters"])),
        image_margins_px=load_value(tuple[tuple[int, int], tuple[int, int]], data["margins_px"]),
        feature_maps=load_value(tuple[FeatureMap, ...], data["feature_maps"]),
    )
    return dense.with_border(card.border)


def _dump_instruction(instruction: Instruction) -> dict[str, Any]:
    if isinstance(instruction, GridCall):
        return {"grid": dump_value(GridCall, instruction)}
    return dump_call(instruction)


def _load_instruction(data: dict[str, Any]) -> Instruction:
    if "grid" in data:
        call: GridCall = load_value(GridCall, data["grid"])
        return call
    return _load_call(data)


def _load_call(data: dict[str, Any]) -> Call:
    call = load_call(data)
    find_operation(call.target)  # a KeyError here, not when it is run
    return call


def _dump_structure(structure: Any) -> Any:
    """Returns the output structure with tuples told from lists."""
    if isinstance(structure, dict):
        return {"dict": {key: _dump_structure(inner) for key, inner in structure.items()}}
    if isinstance(structure, list | tuple):
        return {type(structure).__name__: [_dump_structure(inner) for inner in structure]}
    return structure


def _load_structure(data: Any) -> Any:
    if not isinstance(data, dict):
        return None if data is None else int(data)
    ((kind, inner),) = data.items()
    if kind == "dict":
        return {key: _load_structure(value) for key, value in inner.items()}
    return {"list": list, "tuple": tuple}[kind](_load_structure(value) for value in inner)
