"""The windowed head: batches that fit a budget, in the number type and the memory format that are given."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import fullyconv
import zoo
from fullyconv.capture.calls import Call, Ref
from fullyconv.capture.liveness import count_live_values, find_last_uses
from fullyconv.rewrite.windowed import WINDOW_MEMORY_BYTES, Batching, choose_batching


class Attended(nn.Module):
    """A trunk, then squeeze-excitation between two convolutions, all per window, then a head that drops axes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.conv = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3, padding=1)
        self.gate, self.fc = nn.Conv2d(8, 8, 1), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        return self.fc(self.conv(x).relu().mean((2, 3), keepdim=True).squeeze()).softmax(-1)


WINDOW = (17, 13)


def convert_attended() -> tuple[nn.Module, fullyconv.DenseModel]:
    model = Attended().eval()
    return model, fullyconv.convert(model, WINDOW)


def draw(*size: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(2))


def score_crops(model: nn.Module, dense: fullyconv.DenseModel, images: torch.Tensor) -> torch.Tensor:
    """Returns the scores of two windows at a time, the same one twice, because the model drops a batch of one."""
    rows, columns = dense.grid.shape((images.shape[2], images.shape[3]))
    scores = []
    for cell in [(i, j) for i in range(rows) for j in range(columns)]:
        x0, y0, x1, y1 = dense.grid.box_xyxy(cell)
        crop = images[:, :, y0:y1, x0:x1]
        scores.append(model(torch.cat([crop, crop]))[: len(images)])
    return torch.stack(scores, -1).unflatten(-1, (rows, columns))


class Seen(TorchDispatchMode):
    """Notes the memory format of each convolution's input and result, and its number type."""

    def __init__(self, extent: tuple[int, int]) -> None:
        super().__init__()
        self.extent, self.formats, self.dtypes = extent, [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if "conv" in str(func) and tuple(args[0].shape[2:]) == self.extent:
            self.formats.append(args[0].is_contiguous(memory_format=torch.channels_last))
            self.dtypes.append(result.dtype)
        return result


@pytest.mark.parametrize("windows", [1, 2, 3, 7, 100])
def test_any_budget_gives_the_same_scores(windows: int) -> None:
    model, dense = convert_attended()
    head = dense.module.program.head
    images = draw(2, 3, 24, 18)
    limited = dense.with_window_memory(windows * head.window_values * 4)
    assert choose_batching(head, limited.module.memory_bytes, 4) == Batching(max(windows, 2), 2)
    assert dense.module.memory_bytes == WINDOW_MEMORY_BYTES
    with torch.no_grad():
        expected = score_crops(model, dense, images)
    torch.testing.assert_close(limited(images), expected, rtol=1e-5, atol=1e-6)


def test_a_head_that_drops_axes_takes_a_single_window() -> None:
    model, dense = convert_attended()
    images = draw(1, 3, *WINDOW)
    assert dense(images).shape == (1, 5, 1, 1)
    torch.testing.assert_close(dense(images)[..., 0, 0], model(torch.cat([images, images]))[:1])


def test_a_fixed_batch_is_filled_up() -> None:
    model, dense = convert_attended()
    assert choose_batching(dense.module.program.head, 1, 4) == Batching(2, 2)
    program = torch.export.export(model, (draw(2, 3, *WINDOW),))
    fixed = fullyconv.convert(program, WINDOW)
    assert not fixed.module.program.head.is_free
    images = draw(2, 3, 24, 18)
    torch.testing.assert_close(fixed(images), dense(images), rtol=1e-5, atol=1e-6)


def test_tensors_are_dropped_after_their_last_use() -> None:
    calls = [
        Call("a", (Ref("x"), Ref("weight")), outputs=("y",)),
        Call("b", (Ref("y"),), outputs=("z", "unused")),
        Call("c", ([Ref("z"), Ref("x")],), outputs=("end",)),
    ]
    uses = [set(names) for names in find_last_uses(calls, {"end"})]
    assert uses == [{"weight"}, {"y", "unused"}, {"z", "x"}]
    sizes = {"x": 5, "y": 100, "z": 10, "unused": 1, "end": 2}
    assert count_live_values(calls, sizes, {"end"}) == 5 + 100 + 10 + 1
    assert count_live_values(calls, sizes, {"end", "y"}) == 5 + 100 + 10 + 2
    assert count_live_values([], sizes, set()) == 0


def test_a_window_takes_what_its_largest_step_does() -> None:
    _, dense = convert_attended()
    cells = 8 * 8 * 6
    # the gated map, the second convolution's result, and its rectified copy: two of them at a time
    assert 2 * cells <= dense.module.program.head.window_values <= 4 * cells


def test_the_budget_is_not_what_a_file_says_but_the_need_is(tmp_path: pytest.TempPathFactory) -> None:
    _, dense = convert_attended()
    dense.with_window_memory(1000).save(tmp_path / "dense.pt2")
    loaded = fullyconv.load(tmp_path / "dense.pt2")
    assert loaded.module.memory_bytes == WINDOW_MEMORY_BYTES
    assert loaded.module.program.head.window_values == dense.module.program.head.window_values


@pytest.mark.parametrize("what", ["image", "module", "both"])
def test_channels_last_stays_so_on_windows(what: str) -> None:
    _, dense = convert_attended()
    images = draw(2, 3, 24, 18)
    plain = dense(images)
    if what != "image":
        dense.module.to(memory_format=torch.channels_last)
    given = images.to(memory_format=torch.channels_last) if what != "module" else images
    with Seen((8, 6)) as seen:
        scores = dense(given)
    torch.testing.assert_close(scores, plain, rtol=1e-5, atol=1e-6)
    assert seen.formats and all(seen.formats)


def test_plain_images_stay_plain_on_windows() -> None:
    _, dense = convert_attended()
    with Seen((8, 6)) as seen:
        dense(draw(2, 3, 24, 18))
    assert seen.formats and not any(seen.formats)


def test_a_classifier_in_channels_last_converts() -> None:
    model, plain = convert_attended()
    dense = fullyconv.convert(model.to(memory_format=torch.channels_last), WINDOW)
    images = draw(2, 3, 24, 18)
    torch.testing.assert_close(dense(images), plain(images), rtol=1e-5, atol=1e-6)


def test_crops_of_a_channels_last_image_are_channels_last() -> None:
    class Reading(nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            formats.append(x.is_contiguous(memory_format=torch.channels_last))
            return super().forward(x).mean((2, 3)) * x.max().item()

    formats: list[bool] = []
    dense = fullyconv.convert(Reading(3, 4, 3).eval(), (9, 8))
    formats.clear()
    images = draw(1, 3, 18, 16)
    plain = dense(images)
    assert formats and not any(formats)
    formats.clear()
    torch.testing.assert_close(dense(images.to(memory_format=torch.channels_last)), plain)
    assert formats and all(formats)


@contextlib.contextmanager
def in_bfloat16() -> Iterator[None]:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        yield


def test_autocast_reaches_trunk_and_windows_alike() -> None:
    model, dense = convert_attended()
    images = draw(1, 3, 24, 18)
    with Seen((8, 6)) as on_windows, Seen((24, 18)) as on_image, in_bfloat16():
        scores = dense(images)
    assert set(on_windows.dtypes) == set(on_image.dtypes) == {torch.bfloat16}
    with torch.no_grad(), in_bfloat16():
        expected = score_crops(model, dense, images)
    assert scores.dtype == expected.dtype
    eps = torch.finfo(torch.bfloat16).eps
    torch.testing.assert_close(scores, expected, rtol=4 * eps, atol=eps)
    torch.testing.assert_close(scores.float(), dense(images), rtol=8 * eps, atol=2 * eps)


@pytest.mark.parametrize("name", ["attention", "squeeze_excite", "recurrent", "plain", "resnet"])
def test_autocast_is_near_float32(name: str) -> None:
    entry = zoo.ZOO[name]
    dense = fullyconv.convert(zoo.build(name), entry.window)
    images = draw(1, entry.channels, entry.window[0] + entry.stride[0], entry.window[1] + entry.stride[1])
    with in_bfloat16():
        scores = dense(images)
    exact = dense(images)
    assert (scores.float() - exact).abs().max() < 0.1 * exact.abs().max()
