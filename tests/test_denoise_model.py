"""The denoising network and the noise-level estimator: any size, every gradient, no leak between images, scaling."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from img2img.benchmarks.speed import kmac_per_pixel
from img2img.register import find_recipe
from img2img.tasks.denoise.loss import BlindObjective, DenoisingObjective, negative_psnr
from img2img.tasks.denoise.model import BlindDenoiser, DenoisingUNet, NoiseEstimator
from img2img.tasks.denoise.train import grow_from


@pytest.fixture
def model() -> DenoisingUNet:
    torch.manual_seed(0)
    return DenoisingUNet(3, widths=(8, 12, 16), blocks=(1, 1, 2)).eval()


@settings(max_examples=25, deadline=None)
@given(h=st.integers(1, 40), w=st.integers(1, 40))
def test_output_has_the_size_of_the_input(h: int, w: int) -> None:
    noisy = torch.rand(1, 3, h, w)
    assert DenoisingUNet(3, (4, 4), 1)(noisy, torch.tensor([0.1])).shape == noisy.shape
    assert NoiseEstimator(3, (4, 4))(noisy).shape == (1, 1, -(-h // 4), -(-w // 4))


def test_every_parameter_learns(model: DenoisingUNet) -> None:
    clean, noisy = torch.rand(2, 2, 3, 32, 32)
    blind = BlindDenoiser((8, 12), 1)
    DenoisingObjective(model)((clean, noisy, torch.full((2, 1, 32, 32), 0.1)))["loss"].backward()
    BlindObjective(blind)((clean, noisy))["loss"].backward()
    for net in (model, blind):
        assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_images_in_a_batch_do_not_touch_each_other(model: DenoisingUNet) -> None:
    noisy, sigma = torch.rand(2, 3, 17, 23), torch.tensor([0.05, 0.2])
    one_by_one = torch.cat([model(noisy[i : i + 1], sigma[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(model(noisy, sigma), one_by_one)


def test_the_network_scales_with_its_input(model: DenoisingUNet) -> None:
    """f(a y, a sigma) = a f(y, sigma), the point of having no biases."""
    noisy, sigma = torch.rand(1, 3, 16, 16), torch.tensor([0.1])
    torch.testing.assert_close(model(3 * noisy, 3 * sigma), 3 * model(noisy, sigma))


def test_a_map_of_equal_levels_is_the_level(model: DenoisingUNet) -> None:
    noisy = torch.rand(1, 3, 16, 18)
    torch.testing.assert_close(model(noisy, torch.tensor([0.1])), model(noisy, torch.full((1, 1, 16, 18), 0.1)))


def test_negative_psnr_falls_by_the_decibels_gained_at_every_level() -> None:
    clean = torch.full((2, 3, 4, 4), 0.5)
    twice, once = (negative_psnr(clean + error * torch.tensor([0.05, 0.2]).view(2, 1, 1, 1), clean) for error in (2, 1))
    assert (twice - once).item() == pytest.approx(0.02 * 2 * np.log(2), rel=0.01)


def test_an_unknown_loss_is_named(model: DenoisingUNet) -> None:
    with pytest.raises(ValueError, match="l1, psnr"):
        DenoisingObjective(model, "l3")


def test_one_batch_can_be_learnt_by_heart() -> None:
    torch.manual_seed(0)
    net = DenoisingUNet(1, (16, 16), 1)
    clean = torch.rand(2, 1, 16, 16)
    noisy, sigma = clean + 0.2 * torch.randn_like(clean), torch.tensor([0.2, 0.2])
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    objective = DenoisingObjective(net)
    first = objective((clean, noisy, sigma))["loss"].item()
    for _ in range(150):
        optimizer.zero_grad()
        loss = objective((clean, noisy, sigma))["loss"]
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 4


def test_a_grown_network_begins_as_the_smaller_one(model: DenoisingUNet) -> None:
    larger = DenoisingUNet(3, widths=(8, 12, 16), blocks=(2, 3, 2)).eval()
    grow_from(larger, model.state_dict())
    noisy, sigma = torch.rand(1, 3, 24, 24), torch.tensor([0.1])
    torch.testing.assert_close(larger(noisy, sigma), model(noisy, sigma))


@pytest.mark.parametrize(("name", "kind"), [("denoise-fast", DenoisingUNet), ("denoise-photo", BlindDenoiser)])
def test_the_recipes_stay_within_their_cost(name: str, kind: type[DenoisingUNet | BlindDenoiser]) -> None:
    """FFDNet's cost."""
    arguments = {k: v for k, v in find_recipe("denoise", Path(name)).model.items() if k != "network"}
    net = kind(**arguments)
    assert sum(p.numel() for p in net.parameters()) <= 6.5e6
    assert kmac_per_pixel(net, torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 1, 1)) <= 215
