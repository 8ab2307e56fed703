"""The trunk on whole images and the head on patches, cut out of the user's own forward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fullyconv.grid import Grid
from fullyconv.verify.cut import SplitError, find_cut, run_head, run_trunk
from fullyconv.verify.original import Original
from fullyconv.verify.placement import locate_axes
from fullyconv.verify.references import answer_crops, answer_patches
from fullyconv.verify.route import RouteError
from fullyconv.verify.splits import Probe, SplitTensor

WINDOW = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
LARGE = torch.randn(1, 3, 11, 14, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


class Net(nn.Module):
    """A stem, something between (`middle`), a sum of the map as the head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4 * 36, 2)
        generator = torch.Generator().manual_seed(3)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.2, generator=generator)

    def trunk(self, images: Tensor) -> Tensor:
        return F.relu(self.stem(images))

    def middle(self, x: Tensor) -> Tensor:
        return x

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.middle(self.trunk(images)).flatten(1))


def prepare(net: nn.Module, *values: Tensor) -> tuple[Original, Probe]:
    splits = [SplitTensor(f"map {number}", value) for number, value in enumerate(values)]
    probe = Probe(WINDOW, tuple(splits))
    return Original(net.double(), WINDOW, torch.float64), probe


def run_whole(net: Net) -> None:
    """Asserts that patches of the map, through the head, are the crops of an unpadded network."""
    original, probe = prepare(net, net.double().trunk(WINDOW).detach())
    grid, cells = Grid((8, 8), (1, 1), (6, 6)), [(0, 0, 0), (0, 3, 6), (0, 1, 4)]
    halves = original.cut(probe)
    axes = locate_axes(halves, original.window, ["map 0"], grid.stride_px)
    patches = answer_patches((halves, axes), LARGE, grid, cells)
    crops = answer_crops(original, LARGE, grid, cells)
    torch.testing.assert_close(patches["scores"].scores, crops["scores"].scores, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "middle",
    [
        lambda x: F.adaptive_avg_pool2d(x, (6, 6)),  # does nothing at window size only
        lambda x: x.clone().relu_(),
        lambda x: F.interpolate(x, (6, 6), mode="bilinear"),
        lambda x: x[:, :, :6, :6],
        lambda x: F.dropout(x, training=False).contiguous(),
    ],
)
def test_the_first_of_equal_tensors_is_the_split(middle):
    class Between(Net):
        def middle(self, x: Tensor) -> Tensor:
            return middle(x)

    run_whole(Between())


def test_an_in_place_rectifier_is_the_split_and_not_what_it_overwrites():
    class InPlace(Net):
        def trunk(self, images: Tensor) -> Tensor:
            return F.relu_(self.stem(images))

    run_whole(InPlace())


def test_a_tensor_that_is_computed_twice_is_replaced_twice():
    class Twice(Net):
        def forward(self, images: Tensor) -> Tensor:
            return self.head((self.trunk(images) * self.trunk(images)).flatten(1))

    run_whole(Twice())


def test_a_residual_past_the_split_is_seen():
    class Bypass(Net):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) + images.mean((1, 2, 3))[:, None]

    net = Bypass()
    with pytest.raises(SplitError, match="map 0: the head gets something past the split"):
        find_cut(*prepare(net, net.double().trunk(WINDOW).detach()))


def test_a_tensor_that_the_original_does_not_make_is_refused():
    net = Net()
    with pytest.raises(SplitError, match="map 0: expected a tensor of the original here"):
        find_cut(*prepare(net, net.double().trunk(WINDOW).detach() + 1e-3))


def test_several_feature_maps_make_one_split():
    class Two(Net):
        def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return self.trunk(images), torch.tanh(self.stem(images))

        def forward(self, images: Tensor) -> Tensor:
            first, second = self.maps(images)
            return self.head((first + second).flatten(1)) + second.mean((1, 2, 3))[:, None]

    net = Two()
    first, second = (value.detach() for value in net.double().maps(WINDOW))
    original, probe = prepare(net, first, second)
    cut = find_cut(original, probe)
    assert [len(value) for value in run_trunk(original, cut, LARGE)] == [1, 1]
    answer = run_head(original, cut, [first, second])["scores"]
    torch.testing.assert_close(answer.scores, net(WINDOW).detach(), rtol=0, atol=1e-12)
    with pytest.raises(SplitError, match="past the split"):
        find_cut(*prepare(net, first))


def test_the_head_never_runs_on_a_whole_map():
    class Strict(Net):
        def middle(self, x: Tensor) -> Tensor:
            assert x.shape[-2:] == (6, 6)
            return x

    run_whole(Strict())


def test_a_forward_that_catches_exceptions_is_still_stopped():
    class Catching(Net):
        def trunk(self, images: Tensor) -> Tensor:
            try:
                return super().trunk(images)
            except Exception:
                return images

    run_whole(Catching())


def test_a_split_behind_the_last_activation_leaves_no_logits():
    class Ending(Net):
        def trunk(self, images: Tensor) -> Tensor:
            return self.stem(images).mean(1, keepdim=True).sigmoid()

        def forward(self, images: Tensor) -> Tensor:
            return self.trunk(images).flatten(1)

    net = Ending()
    value = net.double().trunk(WINDOW).detach()
    original, probe = prepare(net, value)
    assert original.answer(WINDOW)["scores"].logits is not None
    answer = run_head(original, find_cut(original, probe), [value.flip(0)])["scores"]
    assert torch.equal(answer.scores, value.flip(0).flatten(1))
    assert answer.logits is None


def test_more_windows_than_one_batch_keep_their_order():
    net = Net()
    original, probe = prepare(net, net.double().trunk(WINDOW).detach())
    cut = find_cut(original, probe)
    patches = torch.randn(37, 4, 6, 6, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    found = run_head(original, cut, [patches])["scores"].scores
    torch.testing.assert_close(found, net.head(patches.flatten(1)).detach(), rtol=0, atol=1e-12)


def test_padding_that_follows_the_image_is_another_route():
    class Same(Net):
        def trunk(self, images: Tensor) -> Tensor:
            odd = [size % 2 for size in images.shape[-2:]]
            return super().trunk(F.pad(images, (odd[1], 0, odd[0], 0)))

    net = Same()
    original, probe = prepare(net, net.double().trunk(WINDOW).detach())
    cut = find_cut(original, probe)
    assert run_trunk(original, cut, LARGE[:, :, :10])[0].shape == (1, 4, 8, 12)
    with pytest.raises(RouteError, match=r"depends on the image's size: call 0 is aten.constant_pad_nd"):
        run_trunk(original, cut, LARGE)


def test_a_forward_that_ends_early_is_another_route():
    class Early(Net):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) if images.shape[-1] == 8 else images

    net = Early()
    original, probe = prepare(net, net.double().trunk(WINDOW).detach())
    with pytest.raises(RouteError, match="ends before its feature maps are made"):
        run_trunk(original, find_cut(original, probe), LARGE)


def test_a_trunk_is_run_past_what_torch_asserts_about_its_size():
    class Asserting(Net):
        def trunk(self, images: Tensor) -> Tensor:
            torch._assert(images.shape[-1] == 8, "the width must be 8")
            return super().trunk(images)

    run_whole(Asserting())


def test_a_trunk_stops_where_python_asserts():
    class Asserting(Net):
        def trunk(self, images: Tensor) -> Tensor:
            torch._assert(images.shape[-2] == 8, "the height must be 8")
            assert images.shape[-1] == 8, "the width must be 8"
            return super().trunk(images)

    with pytest.raises(AssertionError, match="the width must be 8"):
        run_whole(Asserting())


def test_values_are_asserted_on_every_image():
    class Asserting(Net):
        def trunk(self, images: Tensor) -> Tensor:
            torch._assert(images.max() < WINDOW.max() + 0.01, "too bright")
            return super().trunk(images)

    with pytest.raises(AssertionError, match="too bright"):
        run_whole(Asserting())


def test_cells_that_a_linear_layer_multiplies_as_one_matrix_keep_their_places():
    class Cells(Net):
        def __init__(self) -> None:
            super().__init__()
            self.mixing = nn.Linear(4, 4, bias=False)
            nn.init.normal_(self.mixing.weight, std=0.5, generator=torch.Generator().manual_seed(4))

        def trunk(self, images: Tensor) -> Tensor:
            return self.mixing(super().trunk(images).permute(0, 2, 3, 1))

    run_whole(Cells())
