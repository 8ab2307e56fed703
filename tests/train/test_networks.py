import pytest
import torch
from torch import nn

from fullyconv.errors import OptionError
from fullyconv.train.networks import append_activation, compact, worked
from fullyconv.train.stages import infer_stride, plan_stages, reduce_window


@pytest.mark.parametrize(
    ("window", "channels", "outputs"),
    [((12, 12), 1, 1), ((25, 25), 1, 1), ((128, 64), 3, 2), ((40, 300), 3, 5)],
)
def test_compact_gives_logits_for_any_window(window, channels, outputs):
    logits = compact(window, channels, outputs)(torch.rand(2, channels, *window))
    assert logits.shape == (2, outputs)


@pytest.mark.parametrize("window", [(25, 25), (64, 40), (100, 128)])
def test_compact_scores_a_crop_as_the_same_pixels_in_a_large_image(window):
    torch.manual_seed(0)
    network = randomise_norms(compact(window, 3, 2)).double().eval()
    rows, columns = reduce_window(window)
    sy, sx = infer_stride(plan_stages(window))
    image = torch.randn(1, 3, window[0] + 3 * sy + 1, window[1] + 2 * sx + 3, dtype=torch.float64)
    flatten = list(network._modules).index("flatten")
    trunk, head = network[:flatten], network[flatten:]
    with torch.no_grad():
        features = trunk(image)
        for i, j in [(0, 0), (1, 2), (3, 1)]:
            from_map = head(features[:, :, i : i + rows, j : j + columns])
            crop = image[:, :, i * sy : i * sy + window[0], j * sx : j * sx + window[1]]
            torch.testing.assert_close(from_map, network(crop), rtol=1e-12, atol=1e-12)


def test_worked_is_the_worked_example():
    network = worked((128, 64), 3, 1).eval()
    flatten = list(network._modules).index("flatten")
    trunk = network[:flatten]
    assert trunk(torch.zeros(1, 3, 128, 64)).shape[2:] == (4, 2)
    assert trunk(torch.zeros(1, 3, 512, 1024)).shape[2:] == (16, 32)
    linears = [(part.in_features, part.out_features) for part in network if isinstance(part, nn.Linear)]
    assert linears == [(256 * 8, 4), (4, 1)]
    assert all(part.kernel_size == part.stride for part in network if isinstance(part, nn.Conv2d))


@pytest.mark.parametrize("window", [(128, 60), (16, 32)])
def test_worked_refuses_what_32_does_not_divide(window):
    with pytest.raises(OptionError, match="network worked: expected a window of multiples of 32"):
        worked(window, 3, 1)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("sigmoid", torch.sigmoid),
        ("softmax", lambda logits: torch.softmax(logits, 1)),
        ("none", lambda logits: logits),
    ],
)
def test_the_activation_is_the_last_operation(activation, expected):
    network = compact((12, 12), 1, 3).eval()
    crops = torch.rand(4, 1, 12, 12)
    torch.testing.assert_close(append_activation(network, activation)(crops), expected(network(crops)))


def test_a_network_that_is_no_sequence_keeps_its_name():
    class Mean(nn.Module):
        def forward(self, images):
            return images.mean((2, 3))

    model = append_activation(Mean(), "sigmoid")
    assert list(model._modules) == ["network", "sigmoid"]
    torch.testing.assert_close(model(torch.ones(1, 2, 3, 3)), torch.full((1, 2), 1.0).sigmoid())


def randomise_norms(network):
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.5, 0.5)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
    return network
