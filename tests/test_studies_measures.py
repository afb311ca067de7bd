"""The studies' own measures against closed forms, published counts and other code."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from img2img.core.encoder_decoder import original_unet
from img2img.studies.architectures import zoo
from img2img.studies.bottleneck import auto_encoder, entropy, pca
from img2img.studies.denoising import KERNEL, Ridge, wiener
from img2img.studies.landscape import filter_normalised, largest_eigenvalue, loss_at
from img2img.studies.meter import measured
from img2img.studies.networks import Classifier
from img2img.studies.retina import RetinaNet, centre_surround, orientation, receptive_fields, unexplained
from img2img.studies.shipped import network
from img2img.studies.unet import boxes, without_skips
from img2img.studies.upsampling import chequer

# Layers on the longest way, parameters without batch norms, multiplications in millions: LeCun 1998 and torchvision.
PUBLISHED = {
    "LeNet-5, 1998": (5, 61_706, 0.4165),
    "AlexNet, 2012": (8, 61_100_840, 714),
    "VGG-16, 2014": (16, 138_357_544, 15_470),
    "GoogLeNet, 2014": (22, 6_624_904, 1_498),
    "ResNet-34, 2015": (34, 21_797_672, 3_664),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_meter_counts_what_is_published(name: str) -> None:
    depth, parameters, millions = PUBLISHED[name]
    build, shape = zoo()[name]
    layers = measured(build, shape)
    with torch.device("meta"):
        norms = sum(p.numel() for m in build().modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    assert layers[-1].depth == depth
    assert sum(layer.parameters for layer in layers) == parameters - norms
    assert sum(layer.multiplications for layer in layers) == pytest.approx(millions * 1e6, rel=0.001)


def test_the_receptive_field_is_where_the_gradient_is() -> None:
    def build() -> nn.Module:
        strided = nn.Conv2d(4, 4, 5, stride=2, padding=2)
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.AvgPool2d(2), strided, nn.Conv2d(4, 4, 3, padding=1))

    x = torch.rand(1, 1, 64, 64, requires_grad=True)
    build()(x)[0, :, 8, 8].sum().backward()
    touched = (x.grad[0].abs().sum(0) > 0).nonzero()  # type: ignore[index]
    side = int((touched.max(0).values - touched.min(0).values).max()) + 1
    layers = measured(build, (1, 64, 64))
    assert layers[-1].field == side


@pytest.mark.parametrize("blocks", [1, 3])
def test_plain_and_residual_have_the_same_convolutions(blocks: int) -> None:
    plain, residual = (measured(partial(Classifier, blocks, kind), (1, 32, 32)) for kind in (False, True))
    assert [(a.shape, a.parameters) for a in plain] == [(b.shape, b.parameters) for b in residual]
    assert len([layer for layer in plain if layer.parameters]) == 6 * blocks + 4  # two of them resample


def test_the_chequerboard_is_all_none_or_a_little() -> None:
    board = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).repeat(16, 16)[None, None]
    assert chequer(board) == pytest.approx(1)
    assert chequer(F.interpolate(torch.rand(1, 1, 8, 8), scale_factor=4)) < 1e-9
    noise = torch.randn(1, 1, 256, 256, generator=torch.Generator().manual_seed(0))
    assert chequer(noise) == pytest.approx(3 / 63, abs=0.006)  # three of the 63 frequencies of a window


def test_wieners_kernel_is_what_least_squares_finds() -> None:
    generator = torch.Generator().manual_seed(0)
    blur = torch.ones(1, 1, 5, 5) / 25
    clean = F.conv2d(torch.randn(1, 1, 404, 404, generator=generator), blur)
    noisy = clean + 0.2 * torch.randn(clean.shape, generator=generator)
    side = clean.shape[-1] - KERNEL + 1
    rows = F.unfold(noisy, KERNEL)[0].T
    middle = clean[0, 0, KERNEL // 2 :, KERNEL // 2 :][:side, :side].reshape(-1, 1)
    ridge = Ridge(KERNEL**2, 1)
    for part in zip(rows.split(50_000), middle.split(50_000), strict=True):
        ridge.add(*part)
    learnt = ridge.weights(1e-9).float().flatten()
    exact = torch.linalg.lstsq(rows - rows.mean(0), middle - middle.mean(0)).solution.flatten()
    torch.testing.assert_close(learnt, exact, atol=1e-3, rtol=0)
    assert float(F.cosine_similarity(learnt, wiener([clean[0]], 0.2).flatten(), dim=0)) > 0.995


def test_pca_with_all_components_gives_the_picture_back() -> None:
    learn = [torch.rand(1, 40, 48)]
    picture = torch.rand(1, 1, 16, 24)
    torch.testing.assert_close(pca(learn, picture, 4, 16), picture, atol=1e-5, rtol=0)
    errors = [float((pca(learn, picture, 4, n) - picture).square().mean()) for n in (1, 4, 8, 12)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(("stride", "channels"), [(4, 2), (8, 32), (32, 5)])
def test_an_auto_encoders_code_has_its_size(stride: int, channels: int) -> None:
    net = auto_encoder(stride, channels)
    features, _ = net.encoder(torch.rand(1, 1, 64, 96))
    assert features[-1].shape == (1, channels, 64 // stride, 96 // stride)
    assert net(torch.rand(1, 1, 64, 96)).shape == (1, 1, 64, 96)


def test_entropy_of_even_levels_is_their_logarithm() -> None:
    assert entropy(torch.arange(256).repeat(3)) == pytest.approx(8)
    assert entropy(torch.zeros(100)) == pytest.approx(0)


def test_centre_surround_and_orientation_know_their_examples() -> None:
    y, x = np.indices((17, 17)) - 8
    square = x**2 + y**2
    hat = np.exp(-square / 4) / 4 - np.exp(-square / 16) / 16
    edge = x * np.exp(-square / 18)
    grating = np.cos(1.2 * x) * np.exp(-square / 30)
    blob = np.exp(-square / 8)
    assert centre_surround(hat) > 0.8
    assert centre_surround(edge) < 0.05
    assert centre_surround(blob) < 0.05
    assert orientation(hat) < 0.05
    assert orientation(grating) > 0.8
    assert orientation(edge) > 0.4
    assert orientation(np.rot90(grating)) == pytest.approx(orientation(grating), abs=0.01)


def test_receptive_fields_of_a_linear_retina_are_its_kernels() -> None:
    net = RetinaNet(2, 1, width=3, hidden=8)
    fields = receptive_fields(net, 0, seed=0)
    for field, kernel in zip(fields, net.retina[0].weight.detach()[:, 0].numpy(), strict=True):  # type: ignore[operator, union-attr]
        np.testing.assert_allclose(field, kernel, atol=1e-5)
    assert receptive_fields(net, 1, seed=0).shape == (2, 17, 17)


def test_a_linear_retina_is_explained_and_one_that_rectifies_is_not() -> None:
    net = RetinaNet(1, 0, width=4, hidden=8)
    pictures = torch.rand(200, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    for each in net.retina:
        each.bias.data.fill_(100.0)  # type: ignore[operator, union-attr]
        each.weight.data.abs_()  # type: ignore[operator, union-attr]
    assert unexplained(net, pictures, seed=0) < 0.1
    net = RetinaNet(1, 0, width=4, hidden=8)
    net.retina[0].bias.data.zero_()  # type: ignore[operator, union-attr]
    net.retina[1].weight.data.abs_()  # type: ignore[operator, union-attr]
    assert unexplained(net, pictures, seed=0) > 0.1


class Bowl(nn.Module):
    """Three weights."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.tensor([[1.0, 2.0, 2.0]]))


def test_the_largest_eigenvalue_of_a_bowl_is_known() -> None:
    curvatures = torch.tensor([1.0, 6.0, 3.0])
    value = largest_eigenvalue(Bowl(), lambda m: (m.rows.square() * curvatures).sum() / 2, 60, seed=0)
    assert value == pytest.approx(6, rel=1e-3)


def test_directions_are_as_long_as_their_filters_and_weights_are_put_back() -> None:
    net = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    direction = filter_normalised(net, torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        direction["0.weight"].flatten(1).norm(dim=1), net[0].weight.detach().flatten(1).norm(dim=1)
    )
    assert not direction["0.bias"].any()
    assert not direction["1.weight"].any()
    moved = loss_at(net, lambda m: m[0].weight.square().sum(), [(0.5, direction)])  # type: ignore[index]
    assert moved != pytest.approx(float(net[0].weight.square().sum()))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_no_skip_cut_is_the_network_itself_and_every_box_is_seen() -> None:
    net = network("denoise-fast").noise
    x = torch.rand(1, 4, 21, 30)
    with torch.no_grad():
        torch.testing.assert_close(without_skips(net, x, set()), net(x))  # type: ignore[arg-type, operator]
        assert not torch.allclose(without_skips(net, x, {0}), net(x), atol=1e-3)  # type: ignore[arg-type, operator]
    with torch.device("meta"):
        unet, picture = original_unet(), torch.empty(1, 1, 572, 572)
    shapes = [box.shape for box in boxes(unet, lambda: unet(picture))]
    assert (64, 568, 568) in shapes
    assert (1024, 28, 28) in shapes
    assert shapes[-1] == (2, 388, 388)  # as in the paper's figure
