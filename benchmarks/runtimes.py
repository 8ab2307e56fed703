"""What each runtime takes for the same dense network on the same image, and how far its logits are from torch's.

    python benchmarks/runtimes.py            prints the table
    python benchmarks/runtimes.py --write    and puts it into docs/runtimes.md
    python benchmarks/runtimes.py --only demo --without torch-compiled

All runtimes of a network run in turns, in one process, so that what else the machine does falls on all of them; the
medians are compared. Weights are random and fitted so that scores depend on every layer, the image is noise.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from classifiers.weights import randomise
from torch import Tensor, nn

import fullyconv
from fullyconv.rewrite import DenseModel
from fullyconv.runtime.measuring import measure_error, time_in_turns
from fullyconv.train.networks import compact

DOCUMENT = Path(__file__).parents[1] / "docs" / "runtimes.md"
BEGIN, END = "<!-- begin of benchmarks/runtimes.py -->", "<!-- end of benchmarks/runtimes.py -->"

RUNTIMES = (
    "torch", "torch-channels-last", "torch-compiled", "onnxruntime", "openvino",
    "torch-bfloat16", "torch-channels-last-bfloat16", "openvino-bfloat16",
)  # fmt: skip

# Beyond the three rounds that every runtime gets, for each network.
_BUDGET_S = 20.0


@dataclass(frozen=True, slots=True)
class Network:
    """A classifier to run densely.

    Attributes:
        name: of the row.
        build: makes it.
        window: `(height, width)` in pixels.
        channels: of its input.
        image_px: `(height, width)` of the image.
    """

    name: str
    build: Callable[[], nn.Module]
    window: tuple[int, int]
    channels: int
    image_px: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """How a runtime did.

    Attributes:
        network: which network.
        runtime: which runtime.
        seconds: the median, None where it failed.
        ratio: how many times as fast as plain torch.
        error: of its logits, relative to the largest.
        problem: why it failed.
    """

    network: str
    runtime: str
    seconds: float | None = None
    ratio: float | None = None
    error: float | None = None
    problem: str = ""


def build_vgg() -> nn.Module:
    """The thirteen convolutions of VGG16, and a smaller head."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512 * 9, 1024), nn.ReLU(), nn.Linear(1024, 10))


class Inverted(nn.Module):
    """MobileNetV2's block: wider, a convolution of each channel by itself, narrower, and past it."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 6 * inputs
        self.passes = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
            nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.passes else self.body(x)


def build_mobilenet() -> nn.Module:
    """MobileNetV2's kind: seventeen such blocks."""
    blocks: list[nn.Module] = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()]
    channels = 16
    for width, count, stride in ((24, 3, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1)):
        for place in range(count):
            blocks.append(Inverted(channels, width, stride if place == 0 else 1))
            channels = width
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(320, 10))


def build_demo() -> nn.Module:
    """What `fullyconv demo` trains."""
    return nn.Sequential(compact((25, 25), 1, 1), nn.Sigmoid())


NETWORKS = (
    Network("demo", build_demo, (25, 25), 1, (512, 512)),
    Network("VGG16-like", build_vgg, (96, 96), 3, (384, 384)),
    Network("MobileNet-like", build_mobilenet, (96, 96), 3, (384, 384)),
)


def measure(network: Network, runtimes: Sequence[str] = RUNTIMES, budget_s: float = _BUDGET_S) -> list[Row]:
    """Returns a row for each runtime; those that fail say why."""
    torch.manual_seed(0)
    module = randomise(network.build(), torch.randn(16, network.channels, *network.window), 0)
    dense = fullyconv.convert(module, network.window)
    image = torch.randn(1, network.channels, *network.image_px)
    placed: dict[str, DenseModel] = {}
    rows = {}
    for name in runtimes:
        try:
            placed[name] = dense.on(name, precision="fast" if "float" in name else "exact", max_error=1e9)
            error = measure_error(_run_logits(placed[name], image), _run_logits(dense, image))
            rows[name] = Row(network.name, name, error=error)
        except Exception as problem:
            placed.pop(name, None)
            rows[name] = Row(network.name, name, problem=f"{type(problem).__name__}: {problem}"[:200])
    seconds = time_in_turns({name: _make_run(one, image) for name, one in placed.items()}, budget_s)
    plain = seconds["torch"]
    return [
        Row(row.network, name, seconds[name], plain / seconds[name], row.error) if name in seconds else row
        for name, row in rows.items()
    ]


def _make_run(dense: DenseModel, image: Tensor) -> Callable[[], Any]:
    dense(image)  # so that it is warm
    return lambda: dense(image)


def _run_logits(dense: DenseModel, image: Tensor) -> Any:
    with torch.inference_mode():
        return (dense.runner or dense.module).logits(image)


def lay_out(rows: Sequence[Row]) -> str:
    """Returns the table in Markdown."""
    head = ["network", "runtime", "seconds", "times as fast as torch", "logits off by"]
    lines = [head, ["---"] * len(head), *(_lay_out_row(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _lay_out_row(row: Row) -> list[str]:
    if row.seconds is None or row.ratio is None or row.error is None:
        return [row.network, row.runtime, "-", "-", row.problem]
    return [row.network, row.runtime, f"{row.seconds:.3g}", f"{row.ratio:.2f}", f"{row.error:.0e}"]


def describe_machine() -> str:
    """Returns what the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    halves = [flag for flag in ("avx512_bf16", "amx_bf16") if any(flag in line for line in lines)]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "onnxruntime", "openvino"))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    threads = torch.get_num_threads()
    return (
        f"{date.today()}, {processor} ({platform.machine()}, {', '.join(halves) or 'no bfloat16'}), {threads} "
        f"thread{'s' if threads > 1 else ''}; {versions}; seed 0; commit {commit.strip()}."
    )


def replace_table(text: str, table: str) -> str:
    """Returns a document with what is between the marks replaced."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}"


def measure_all(networks: Sequence[Network], runtimes: Sequence[str]) -> Iterator[Row]:
    """Yields the rows of some networks, printing each."""
    for network in networks:
        for row in measure(network, runtimes):
            print(" | ".join(_lay_out_row(row)), flush=True)
            yield row


def main() -> None:
    """Measures, prints and, if asked to, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/runtimes.md")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="*", default=[network.name for network in NETWORKS], help="networks")
    parser.add_argument("--without", nargs="*", default=[], help="runtimes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    networks = [network for network in NETWORKS if network.name in arguments.only]
    runtimes = [name for name in RUNTIMES if name not in arguments.without]
    table = f"{describe_machine()}\n\n{lay_out(list(measure_all(networks, runtimes)))}"
    print(table)
    if arguments.write:
        DOCUMENT.write_text(replace_table(DOCUMENT.read_text(), table))


if __name__ == "__main__":
    main()
