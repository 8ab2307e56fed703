"""Which library runs a network, in which form and arithmetic, where; and how people write that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from fullyconv.errors import OptionError

Library = Literal["torch", "onnxruntime", "openvino"]
Form = Literal["", "channels-last", "compiled"]
Arithmetic = Literal["", "bfloat16", "float16"]
Precision = Literal["exact", "fast"]

NAMES = ("torch", "torch-channels-last", "torch-compiled", "onnxruntime", "openvino")
"""What can be asked for by name, beside `auto`; `-bfloat16` or `-float16` behind it says the arithmetic."""

_HALVES = ("bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Runtime:
    """One way to run a network.

    Attributes:
        library: what computes.
        form: of torch: weights and images with their channels last in memory, or compiled; "" for neither.
        arithmetic: of convolutions and products, "" for the network's own number type.
        device: "cpu", "cuda" or "cuda:N".
    """

    library: Library = "torch"
    form: Form = ""
    arithmetic: Arithmetic = ""
    device: str = "cpu"

    @property
    def name(self) -> str:
        """How people write it, the device aside."""
        return "-".join(part for part in (self.library, self.form, self.arithmetic) if part)

    @property
    def is_exact(self) -> bool:
        """Whether it computes in the network's own number type."""
        return not self.arithmetic

    def __str__(self) -> str:
        return self.name if self.device == "cpu" else f"{self.name} on {self.device}"


def parse_runtime(text: str, precision: Precision = "exact", device: str = "cpu") -> Runtime:
    """Returns the runtime of a name such as `torch-channels-last` or `openvino-bfloat16`.

    Where a coarser arithmetic is allowed and the name says none, it is bfloat16, whose range is that of float32; but
    onnxruntime knows the file's own alone.

    >>> parse_runtime("openvino", "fast").name
    'openvino-bfloat16'

    Raises:
        OptionError: there is none of that name, or it is coarser than allowed.
    """
    check_precision(precision)
    base, arithmetic = _split(text)
    if base not in NAMES or (base == "onnxruntime" and arithmetic):
        raise OptionError(
            f"runtime {text!r}: expected auto or one of {', '.join(NAMES)}; torch and openvino also with -bfloat16 "
            "or -float16 behind"
        )
    if arithmetic and precision == "exact":
        raise OptionError(f"runtime {text!r}: computes in {arithmetic}, which needs precision fast, got exact")
    library, _, form = base.partition("-")
    runtime = Runtime(library, form, arithmetic, device)  # type: ignore[arg-type]  # NAMES has no others
    return choose_half(runtime) if precision == "fast" and not arithmetic else runtime


def choose_half(runtime: Runtime) -> Runtime:
    """Returns a runtime in bfloat16, where the library can choose."""
    return runtime if runtime.library == "onnxruntime" else replace(runtime, arithmetic="bfloat16")


def check_precision(precision: str) -> None:
    """Checks that there is such a precision.

    Raises:
        OptionError: there is not.
    """
    if precision not in get_args(Precision):
        raise OptionError(f"precision: expected exact or fast, got {precision!r}")


def _split(text: str) -> tuple[str, Arithmetic]:
    for half in _HALVES:
        if text.endswith(f"-{half}"):
            return text.removesuffix(f"-{half}"), half  # type: ignore[return-value]  # which _HALVES are
    return text, ""


def list_candidates(precision: Precision, device: str, *, compiles: bool) -> tuple[Runtime, ...]:
    """Returns what is worth measuring, plain torch first.

    Args:
        precision: whether coarser arithmetic is allowed.
        device: where.
        compiles: whether there is work enough for torch.compile, which takes up to minutes before its first result.
    """
    names = [name for name in NAMES if compiles or name != "torch-compiled"]
    exact = [parse_runtime(name, "exact", device) for name in names]
    if precision == "exact":
        return tuple(exact)
    halves = [choose_half(runtime) for runtime in exact if runtime.library != "onnxruntime"]
    if device != "cpu":  # where it is no slower, and nearer to float32 as long as nothing overflows
        halves += [replace(runtime, arithmetic="float16") for runtime in halves if runtime.library == "torch"]
    return (*exact, *halves)
