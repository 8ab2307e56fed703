"""Any dense network -> an ONNX file: of one that came from PyTorch, the shared part and the head are exported apart."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fullyconv.analyze.plan import Cut, Output
from fullyconv.capture.batching import agree
from fullyconv.capture.export import first_line, silence
from fullyconv.capture.footprint import LargestOperation
from fullyconv.capture.module import copy_module, read_dtype
from fullyconv.capture.onnx_model import LARGEST_IN_MEMORY
from fullyconv.errors import CaptureError, ModelError, require_extra
from fullyconv.rewrite.crops import CropModule
from fullyconv.rewrite.dense_model import DenseModel
from fullyconv.rewrite.dense_module import DenseModule
from fullyconv.rewrite.onnx_files import save_onnx
from fullyconv.rewrite.onnx_fragments import check_scores, loosen_cuts
from fullyconv.rewrite.onnx_tracing import HeadPart, SharedPart, make_windows
from fullyconv.rewrite.program import OnnxHead, OnnxProgram, Program
from fullyconv.rewrite.refined import Route

if TYPE_CHECKING:
    import onnx_ir as ir

    from fullyconv.rewrite.onnx_module import OnnxModule

_BATCH = 2
_OPSET = 18

# Of the largest score: sums in another order differ by far less, another operation by far more.
_SAME_RTOL = 1e-3

# As for tiles: a residual branch may be waiting, and kernels work on copies of their own.
_SAFETY = 2

# What the parts below call the network within them, which no weight's name has to say.
_OWNER = "module."

_IMAGE = "image"


def save_as_onnx(dense: DenseModel, path: Path) -> None:
    """Writes a dense network as an ONNX model for images of any size.

    Raises:
        MissingExtraError: onnx, onnx-ir or onnxruntime is not installed.
        ModelError: a part of it has no ONNX form, or is the classifier's own code.
        OutputError: the file cannot be written.
    """
    for name in ("onnx", "onnx_ir", "onnxruntime"):
        require_extra(name, "onnx")
    if isinstance(dense.module, CropModule):
        raise ModelError(
            f"{path}: this network cannot be saved, because it runs the classifier's own code on crops: "
            f"{dense.report.reasons[0]}"
        )
    module = dense.module
    if isinstance(module, DenseModule):
        module = make_onnx_module(dense, path)
    save_onnx(dense, module, path)  # type: ignore[arg-type]  # of the three kinds, it is the third


def make_onnx_module(dense: DenseModel, path: Path) -> OnnxModule:
    """Returns the network of a dense model from PyTorch as an ONNX one: nothing is decided anew.

    Raises:
        ModelError: torch's exporter or onnxruntime cannot do a part, or gives another network; begins with `path`.
    """
    module = dense.module
    assert isinstance(module, DenseModule)  # the caller asked
    if module.route is not None:
        _check_route(module.program, module.route)
    try:
        made = _make_module(dense)
    except CaptureError as error:
        raise ModelError(f"{path}: cannot be written as ONNX: {error}") from None
    made.make_finer = lambda stride: make_onnx_module(dense.refine(stride), path)
    return made


def _make_module(dense: DenseModel) -> OnnxModule:
    from fullyconv.rewrite.onnx_module import OnnxModule

    assert isinstance(dense.module, DenseModule)  # the caller asked
    module = copy_module(dense.module.with_border("image")).cpu()
    assert isinstance(module, DenseModule)  # a copy of one
    image = _make_image(dense, dense.grid.window_px)
    names = name_outputs(module.program)
    model = _export_shared(module, image, names)
    head, head_model = _export_head(module, names) if module.program.head else (None, None)
    made = OnnxModule(_describe(module, image, names, head), model, head_model)
    for size in _list_sizes(dense):
        check_export(module, made, _make_image(dense, size))
    return made


def _check_route(program: Program, route: Route) -> None:
    check_scores(route.lattices, {output.tensor for output in program.logits if output.tensor}, program.stride)
    check_scores(route.lattices, {output.tensor for output in program.outputs if output.tensor}, program.stride)


def _list_cuts(module: DenseModule) -> tuple[Cut, ...]:
    """Returns where windows are cut at the network's stride."""
    assert module.program.head is not None  # the caller asked
    cuts = module.program.head.cuts
    return cuts if module.route is None else loosen_cuts(cuts, module.route.lattices, module.program.stride)


def check_export(module: DenseModule, exported: OnnxModule, images: Tensor) -> None:
    """Returns if the exported network gives the scores and logits of the one that it was made from.

    Raises:
        CaptureError: they differ, or it does not run.
    """
    programs = module.program, exported.program
    for ours, theirs in ((one.outputs for one in programs), (one.logits for one in programs)):
        with torch.no_grad():
            pairs = zip(exported._run(images, theirs), module._run(images, ours), strict=True)
        if any(found.shape != wanted.shape or not agree(found, wanted, _SAME_RTOL) for found, wanted in pairs):
            raise CaptureError("torch's exporter gives another network")


def name_outputs(program: Program) -> dict[str, str]:
    """Returns a name for each output: its keys in the classifier's own structure, else its number there."""
    places = {place: name for name, place in _spell_places(program.structure)}
    names: dict[str, str] = {}
    for place, output in enumerate(program.outputs):
        keys = places[place]
        names.setdefault(output.value, keys if keys and not keys[0].isdecimal() else f"scores_{keys}".rstrip("_"))
    is_free = len(set(names.values())) == len(names) and _IMAGE not in names.values()
    return names if is_free else {value: f"scores_{i}" for i, value in enumerate(names)}


def _spell_places(structure: Any, path: str = "") -> Iterator[tuple[str, int]]:
    if structure is None:
        return
    if isinstance(structure, int):
        yield path, structure
        return
    inner = structure.items() if isinstance(structure, Mapping) else enumerate(structure)
    for key, value in inner:
        yield from _spell_places(value, f"{path}_{key}" if path else str(key))


def _make_image(dense: DenseModel, size: tuple[int, int]) -> Tensor:
    shape = (_BATCH, dense.card.channels, *size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(read_dtype(dense.module))


def _list_sizes(dense: DenseModel) -> list[tuple[int, int]]:
    """Returns the sizes of images of one window, and of two rows and three columns of windows, with rest pixels.

    At the network's own stride: so maps in fragments have other sizes than at the window, which is traced. For those
    there is an image that is one pixel larger: of two phases, one has fewer cells only at every other size.
    """
    (height, width), (down, right) = dense.grid.window_px, dense.own_stride_px
    larger = (height + down + down // 2, width + 2 * right + right // 2)
    is_finer = dense.grid.stride_px != dense.own_stride_px
    return [(height, width), larger, *([(larger[0] + 1, larger[1] + 1)] if is_finer else [])]


def _describe(module: DenseModule, image: Tensor, names: Mapping[str, str], head: OnnxHead | None) -> OnnxProgram:
    program = module.program
    largest = LargestOperation(module)
    whole = module if module.route is None else SharedPart(module, list_maps(program))  # all fragments at once
    with torch.no_grad(), largest:
        whole(image)
    pixels = image.shape[0] * image.shape[2] * image.shape[3]
    return OnnxProgram(
        image=_IMAGE,
        window=program.window,
        stride=program.stride,
        names={tensor: name_map(tensor) for tensor in list_maps(program)},
        head=head,
        outputs=_rename(program.outputs, names),
        logits=_rename(program.logits, names),
        structure=program.structure,
        dtype=str(image.dtype).removeprefix("torch."),
        bytes_per_pixel=-(-(_SAFETY * largest.bytes + image.nbytes) // pixels),
        made_at=None if program.stride == program.own_stride else program.own_stride,
    )


def _rename(outputs: Sequence[Output], names: Mapping[str, str]) -> tuple[Output, ...]:
    return tuple(replace(output, value=names.get(output.value, output.value)) for output in outputs)


def list_maps(program: Program) -> list[str]:
    """Returns the tensors of the shared part that windows or logits are made of."""
    cuts = [cut.tensor for cut in program.head.cuts] if program.head else []
    return list(dict.fromkeys([*cuts, *(output.tensor for output in program.logits if output.tensor)]))


def name_map(tensor: str) -> str:
    """Returns what a map is called in the file, where an output may have its name."""
    return f"{tensor}:map"


def _export_shared(module: DenseModule, image: Tensor, names: Mapping[str, str]) -> ir.Model:
    """Returns the shared part as a model of images of any size; maps that only logits are made of are no outputs."""
    import onnx_ir as ir

    program = module.program
    maps = list_maps(program)
    finals = {output.value: output for output in program.outputs if output.tensor}
    outputs = [*(names[value] for value in finals), *map(name_map, maps)]
    model = _export(SharedPart(module, maps), {_IMAGE: image}, outputs, {_IMAGE: {0: "batch", 2: "height", 3: "width"}})
    cuts = {name_map(cut.tensor) for cut in program.head.cuts} if program.head else set()
    kept = [value for value in model.graph.outputs if value.name in cuts or value.name in names.values()]
    model.graph.outputs.clear()
    model.graph.outputs.extend(kept)
    model.graph.inputs[0].shape = ir.Shape(["batch", image.shape[1], "height", "width"])
    shapes: dict[str, list[int | str | None]] = {
        names[value]: ["batch", *output.shape, "rows", "columns"] for value, output in finals.items()
    }
    for value in kept:
        value.shape = ir.Shape(shapes.get(str(value.name), ["batch", None, None, None]))
    return model


def _export_head(module: DenseModule, names: Mapping[str, str]) -> tuple[OnnxHead, ir.Model]:
    """Returns how the head runs, and its model: of any number of windows, or of one that the exporter baked in."""
    from fullyconv.rewrite.onnx_head import takes_any_batch

    program, head, dtype = module.program, module.program.head, read_dtype(module)
    assert head is not None  # the caller asked
    cuts = _list_cuts(module)
    values = list(dict.fromkeys(o.value for o in (*program.outputs, *program.logits) if not o.tensor))
    outputs = [names.get(value, value) for value in values]
    windows = dict(zip((cut.value for cut in head.cuts), make_windows(head.cuts, dtype), strict=True))
    part, takes = HeadPart(module, head, values), head.window_values * dtype.itemsize
    if head.is_free:
        axes = {cut.value: {cut.batch_axis: "windows"} for cut in head.cuts}
        model = _export(part, windows, outputs, axes)
        dtypes = dict.fromkeys(windows, str(dtype).removeprefix("torch."))
        if takes_any_batch(model, head.cuts, head.batch, dtypes):
            return OnnxHead(cuts, head.batch, True, takes), model
    return OnnxHead(cuts, head.batch, False, takes), _export(part, windows, outputs, {})


def _export(
    part: nn.Module, inputs: Mapping[str, Tensor], outputs: list[str], open_axes: Mapping[str, Mapping[int, str]]
) -> ir.Model:
    """Returns what torch's tracing exporter makes of a part; it names weights as the module does.

    Raises:
        CaptureError: it cannot do it; carries its message.
    """
    weights = part.state_dict()
    is_large = sum(tensor.nbytes for tensor in weights.values()) >= LARGEST_IN_MEMORY
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), silence(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's age
        try:
            torch.onnx.export(
                part, tuple(inputs.values()), Path(folder) / "part.onnx", input_names=list(inputs),
                output_names=outputs, opset_version=_OPSET, dynamo=False, dynamic_axes=open_axes,
                training=torch.onnx.TrainingMode.PRESERVE,  # otherwise norms are merged into new, nameless weights
                # It holds weights several times and in one message, and what it folds it does not leave without them.
                export_params=not is_large, do_constant_folding=not is_large,
            )  # fmt: skip
        except Exception as error:  # the exporter fails in many ways
            raise CaptureError(first_line(error)) from None
        return _read(Path(folder) / "part.onnx", weights if is_large else {})


def _put_weights(model: ir.Model, weights: Mapping[str, Tensor]) -> None:
    """Makes weights of the inputs that stand for them; they are not copied."""
    import onnx_ir as ir

    for value in [value for value in model.graph.inputs if value.name in weights]:
        value.const_value = ir.tensor(weights[str(value.name)].detach().contiguous().numpy(), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)


def _read(path: Path, weights: Mapping[str, Tensor]) -> ir.Model:
    """Returns an exported model with all weights in memory, under their names in the network.

    Args:
        path: of the file.
        weights: that are not in it.
    """
    import onnx_ir as ir

    model = ir.load(path)
    ir.external_data.load_to_model(model)
    _put_weights(model, weights)
    made = (value.name for node in model.graph for value in node.outputs)
    taken = {*made, *(value.name for value in model.graph.inputs), *model.graph.initializers}
    for name in list(model.graph.initializers):
        if name.startswith(_OWNER) and name.removeprefix(_OWNER) not in taken:
            model.graph.initializers[name].name = name.removeprefix(_OWNER)
    for node in model.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None  # those of the size that was traced
    model.producer_name, model.producer_version = "fullyconv", None
    return model
