"""The codec's transforms, densities and training: closed forms, references, and what a start as a KLT means."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as photographs
from torch import Tensor, nn

from img2img.checkpoints import load_checkpoint
from img2img.errors import TrainingError
from img2img.tasks.compress.exact import FRACTION
from img2img.tasks.compress.hyperprior import HyperpriorCodec
from img2img.tasks.compress.loss import CodecWithPrior, Medians, RateDistortion
from img2img.tasks.compress.model import Codec, start_as_klt
from img2img.tasks.compress.prior import FORMER, FactorizedPrior, gaussian_probability
from img2img.tasks.compress.train import build, fitted_prior, start_from
from img2img.training.recipe import Phase, Recipe


def crops(n: int = 64, side: int = 32) -> Tensor:
    photograph = torch.from_numpy(photographs.astronaut()).permute(2, 0, 1).float() / 255
    tiles = photograph.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1)
    return tiles[torch.randperm(len(tiles), generator=torch.Generator().manual_seed(0))[:n]].contiguous()


def small(kind: type[Codec] = Codec, **arguments: object) -> CodecWithPrior:
    torch.manual_seed(0)
    codec = kind(widths=(12, 16, 20), **arguments)  # type: ignore[arg-type]
    start_as_klt(codec, crops())
    return CodecWithPrior(codec, fitted_prior(codec, crops()))


def hyper(context: bool = False) -> CodecWithPrior:
    return small(HyperpriorCodec, slices=(4, 6, 10), hyper_channels=6, features=8, hidden=8, context=context)


MODELS = pytest.mark.parametrize(
    "model", [small(), hyper(), hyper(context=True)], ids=["factorized", "hyperprior", "chequerboard"]
)


def test_a_codec_starts_as_an_orthonormal_block_transform() -> None:
    """With all 768 components of a block, and without convolutions, nothing is lost."""
    codec = Codec(widths=(48, 192, 768))
    x = crops(256)
    start_as_klt(codec, x, strength=0)
    y = codec.analysis(x)
    torch.testing.assert_close(codec.synthesis(y), x, atol=1e-4, rtol=0)
    # Orthonormal: the latents have the energy of the pixels, and most of it in the first of them.
    energy = y.square().sum((0, 2, 3))
    torch.testing.assert_close(energy.sum(), ((x - 0.5) * 4).square().sum(), rtol=1e-4, atol=0)
    assert energy[:20].sum() > 0.85 * energy.sum()


def test_a_narrow_codec_keeps_the_largest_components() -> None:
    x = crops(256)
    errors = []
    for latents in (8, 32, 128):
        codec = Codec(widths=(48, 96, latents))
        start_as_klt(codec, x, strength=0)
        errors.append((codec.synthesis(codec.analysis(x)) - x).square().mean().item())
    assert errors[0] > 1.5 * errors[1] > 1.5**2 * errors[2]


@pytest.mark.parametrize("channels", [1, 3])
def test_transforms_of_grey_and_colour(channels: int) -> None:
    codec = Codec(channels=channels, widths=(8, 12, 16))
    y = codec.analysis(torch.rand(2, channels, 32, 48))
    assert y.shape == (2, 16, 2, 3)
    assert codec.synthesis(y).shape == (2, channels, 32, 48)


def test_lambda_and_steps_run_geometrically_between_their_ends() -> None:
    codec = Codec(widths=(8, 8, 8), levels=3, lambdas=(0.001, 0.1))
    rates = torch.tensor([0.0, 0.25, 0.5, 1.0])
    torch.testing.assert_close(codec.lambda_at(rates), torch.tensor([0.001, 10**-2.5, 0.01, 0.1]))
    step, back = codec.steps(rates)
    assert step.shape == (4, 8, 1, 1)
    torch.testing.assert_close(step, back)
    torch.testing.assert_close(step[0] / step[3], torch.full((8, 1, 1), 10.0))  # the step falls as lambda's root
    torch.testing.assert_close(step[1] ** 2, step[0] * step[2])


@MODELS
def test_every_parameter_learns(model: CodecWithPrior) -> None:
    model.train()
    for part in model.modules():  # what starts at zero would hide what lies before it
        if isinstance(part, torch.nn.Conv2d) and not part.weight.any():
            torch.nn.init.normal_(part.weight, std=0.1)
    RateDistortion(model)((crops(8), torch.linspace(0, 1, 8)))["loss"].backward()
    unlearned = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert unlearned == {"prior.quantiles"}  # they have an objective of their own
    Medians(model.prior)(None)["loss"].backward()
    assert model.prior.quantiles.grad is not None
    assert model.prior.quantiles.grad.any()


@MODELS
def test_images_in_a_batch_do_not_touch_each_other(model: CodecWithPrior) -> None:
    model.eval()
    x, rate = crops(2), torch.tensor([0.2, 0.9])
    both = model(x, rate)
    for i in range(2):
        x_hat, bpp = model(x[i : i + 1], rate[i : i + 1])
        torch.testing.assert_close(x_hat[0], both[0][i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(bpp[0], both[1][i], atol=1e-3, rtol=1e-3)


def test_a_higher_rate_costs_more_bits_and_gives_a_better_picture() -> None:
    model = small().eval()
    x = crops(8)
    results = [model(x, torch.full((8,), rate)) for rate in (0.0, 0.5, 1.0)]
    bits = [bpp.mean().item() for _, bpp in results]
    errors = [(x_hat - x).square().mean().item() for x_hat, _ in results]
    assert bits[0] < bits[1] < bits[2]
    assert errors[0] > errors[1] > errors[2]


def perturbed_pair(channels: int = 5) -> tuple[nn.Module, FactorizedPrior]:
    """compressai's density and ours with the same parameters, away from where they begin."""
    models = pytest.importorskip("compressai.entropy_models", exc_type=ImportError)
    torch.manual_seed(0)
    theirs, ours = models.EntropyBottleneck(channels, init_scale=3).eval(), FactorizedPrior(torch.ones(channels))
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    ours.load_state_dict(theirs.state_dict(), strict=False)
    return theirs, ours


def test_the_prior_begins_as_compressai_begins_it() -> None:
    models = pytest.importorskip("compressai.entropy_models", exc_type=ImportError)
    torch.manual_seed(0)
    theirs = models.EntropyBottleneck(5, init_scale=3)
    torch.manual_seed(0)
    ours = FactorizedPrior(torch.ones(5))
    # In one order as well: an optimiser's stored moments go by it.
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-6)


def test_the_prior_equals_compressai_for_steps_of_one() -> None:
    theirs, ours = perturbed_pair()
    y = torch.randn(2, 5, 3, 4) * 4
    y_hat, likelihood = theirs(y)
    own = ours.probability(y_hat, torch.ones(2, 5, 1, 1))
    torch.testing.assert_close(own, likelihood, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(ours.quantile_loss(), theirs.loss())
    likelihood.log2().sum().backward()
    own.log2().sum().backward()
    compared = [(theirs.get_parameter(name).grad, p.grad) for name, p in ours.named_parameters() if name != "quantiles"]
    for expected, found in compared:
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_quantiles_alone_learn_from_their_loss_as_in_compressai() -> None:
    theirs, ours = perturbed_pair()
    ours.quantile_loss().backward()
    theirs.loss().backward()
    torch.testing.assert_close(ours.quantiles.grad, theirs.quantiles.grad)
    assert [name for name, p in ours.named_parameters() if p.grad is not None] == ["quantiles"]


def test_gaussian_probability_equals_compressai() -> None:
    models = pytest.importorskip("compressai.entropy_models", exc_type=ImportError)
    torch.manual_seed(0)
    y, mu = (3 * torch.randn(2, 4, 5, 6) for _ in range(2))
    sigma = (2 * torch.randn(2, 4, 5, 6)).exp().requires_grad_()  # some below the least
    other = sigma.detach().clone().requires_grad_()
    own = gaussian_probability(y, mu, sigma, torch.ones(2, 4, 1, 1))
    theirs = models.GaussianConditional(None)._likelihood(y, other, mu).clamp_min(1e-9)
    torch.testing.assert_close(own, theirs, atol=1e-7, rtol=1e-4)
    own.log2().sum().backward()
    theirs.log2().sum().backward()
    torch.testing.assert_close(sigma.grad, other.grad, atol=1e-4, rtol=1e-3)


def test_weights_of_before_load() -> None:
    """They hold what compressai's class kept beside the parameters."""
    for name in ("codec-fast", "codec-best"):
        checkpoint = load_checkpoint(name)
        prior = FactorizedPrior(checkpoint.part("prior")["scale"].flatten())
        assert set(FORMER) < checkpoint.part("prior").keys()
        prior.load_state_dict(checkpoint.part("prior"))
        # What was stored as medians when these weights were shipped is what the density has: the same tables follow.
        medians = (prior.medians().flatten().double() * 2**FRACTION).round()
        stored = checkpoint.tensors["tables.medians"].double()
        assert (medians - stored).abs().max() <= 2 + 2e-3 * stored.abs().max()  # parameters are stored in fp16


@torch.no_grad()
def test_the_quantiles_loss_is_least_at_the_tails_and_the_median() -> None:
    torch.manual_seed(0)
    prior = FactorizedPrior(torch.tensor([0.5, 2.0, 8.0]))
    low, high = torch.full((3, 1, 3), -1000.0), torch.full((3, 1, 3), 1000.0)
    for _ in range(50):  # halving, to where the cumulative distribution is 0.5e-9, 0.5 and 1 - 0.5e-9
        middle = (low + high) / 2
        above = prior._logits(middle) > torch.tensor([0.5e-9, 0.5, 1 - 0.5e-9], dtype=torch.float64).logit()
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    began = prior.quantile_loss()
    prior.quantiles.copy_(low)
    assert prior.quantile_loss() < 1e-3 * began
    bins = prior.medians() - 0.01 * (torch.arange(200_000) + 0.5)  # the median halves what the bins hold
    below = prior.probability(bins, torch.full((1, 3, 1, 1), 0.01)).sum((0, 2, 3))
    torch.testing.assert_close(below, torch.full((3,), 0.5), atol=5e-3, rtol=0)


@pytest.mark.parametrize("step", [0.25, 1.0, 3.0])
def test_the_prior_is_a_distribution_for_every_step(step: float) -> None:
    prior = FactorizedPrior(torch.tensor([0.5, 2.0, 8.0]))
    bins = torch.arange(-4000, 4001) * step
    total = prior.probability(bins.expand(1, 3, 1, -1), torch.full((1, 3, 1, 1), step)).sum((2, 3))
    torch.testing.assert_close(total, torch.ones(1, 3), atol=1e-3, rtol=0)


def test_gaussian_probability_is_that_of_the_bin() -> None:
    y, mu, sigma, step = torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([0.5])
    args = (t.view(1, 1, 1, 1) for t in (y, mu, sigma, step))
    normal = torch.distributions.Normal(1.0, 2.0)
    expected = normal.cdf(torch.tensor(3.25)) - normal.cdf(torch.tensor(2.75))
    assert gaussian_probability(*args).item() == pytest.approx(expected.item(), rel=1e-4)


def test_rate_distortion_is_bits_and_weighted_error() -> None:
    model = small().eval()
    x, rate = crops(1), torch.tensor([0.5])
    x_hat, bpp = model(x, rate)
    weight = math.sqrt(0.001 * 0.15)
    mse = (255 * (x_hat - x)).square().mean().item()
    expected = (bpp.item() + weight * mse) * math.sqrt(0.01 / weight)
    assert RateDistortion(model)((x, rate))["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_slices_must_sum_to_the_latents() -> None:
    with pytest.raises(ValueError, match="do not sum to 20"):
        HyperpriorCodec(widths=(12, 16, 20), slices=(4, 6))


def test_one_batch_overfits() -> None:
    model = small()
    objective = RateDistortion(model)
    batch = crops(8), torch.full((8,), 0.5)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective(batch)["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:3])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skimage.io import imsave

    folder = tmp_path_factory.mktemp("pictures")
    for i, image in enumerate([photographs.astronaut(), photographs.coffee(), photographs.chelsea()]):
        imsave(folder / f"{i}.png", image[100:196, 100:196], check_contrast=False)
    return folder


def recipe(**changes: object) -> Recipe:
    model = {"network": "factorized", "widths": [8, 12, 16]}
    entries = {"name": "tiny", "task": "codec", "steps": 2, "phases": (Phase(1.0, 32, 2),), "model": model}
    return Recipe(**(entries | changes))  # type: ignore[arg-type]


def test_the_task_validates_and_writes_what_it_can_start_from(pictures: Path, tmp_path: Path) -> None:
    task = build(recipe(), pictures, torch.device("cpu"))
    with torch.inference_mode():
        scores = task.validate(task.model.eval())
    assert scores["bpp0.0"] < scores["bpp1.0"]
    assert scores["psnr0.0"] < scores["psnr1.0"]
    tensors = {k: v.clone() for k, v in task.model.state_dict().items()}
    task.ship(tensors, tmp_path / "tiny.safetensors", {"steps": 0})
    checkpoint = load_checkpoint(tmp_path / "tiny.safetensors")
    assert checkpoint.header["task"] == "compress"
    assert checkpoint.header["network"] == "factorized"
    model = {"network": "hyperprior", "widths": [8, 12, 16], "slices": [4, 12], "hyper_channels": 4}
    init = str(tmp_path / "tiny.safetensors")
    grown = build(recipe(model=model, init=init), pictures, torch.device("cpu"))
    torch.testing.assert_close(
        grown.model.codec.g_a.down[0].conv.weight, task.model.codec.g_a.down[0].conv.weight, atol=1e-3, rtol=1e-2
    )


def test_a_batch_has_rates_from_the_whole_scale(pictures: Path) -> None:
    task = build(recipe(), pictures, torch.device("cpu"))
    rates = torch.stack([task.batch(32, 4, torch.Generator().manual_seed(i))[1] for i in range(50)])
    assert (rates.mul(4).floor().sort(1).values == torch.arange(4.0)).all()  # one in each quarter
    assert ((rates * 4) % 1).std() > 0.2
    assert rates[:, 0].max() > 0.75 > 0.25 > rates[:, 0].min()  # in any order


def test_a_codec_goes_on_from_another_and_may_get_a_chequerboard(pictures: Path, tmp_path: Path) -> None:
    model = {"network": "hyperprior", "widths": [8, 12, 16], "slices": [4, 12], "hyper_channels": 4, "hidden": 8}
    task = build(recipe(model=model), pictures, torch.device("cpu"))
    for parameter in task.model.parameters():
        parameter.data.add_(0.01)
    task.ship(task.model.state_dict(), tmp_path / "tiny.safetensors", {"steps": 0})
    init = str(tmp_path / "tiny.safetensors")
    with torch.no_grad():
        before = task.validate(task.model.eval())
        for more in ({}, {"context": True}):
            grown = build(recipe(model=model | more, init=init), pictures, torch.device("cpu"))
            assert grown.validate(grown.model.eval()) == pytest.approx(before, rel=2e-3)
        other = build(recipe(model=model | {"hidden": 12}, init=init), pictures, torch.device("cpu"))
    # Of another shape only the transforms fit.
    theirs, own = (codec.g_s.up[0].conv.weight for codec in (other.model.codec, task.model.codec))
    torch.testing.assert_close(theirs, own, atol=1e-3, rtol=1e-2)


def test_wrong_networks_are_named(pictures: Path) -> None:
    with pytest.raises(TrainingError, match="factorized, hyperprior"):
        build(recipe(model={"network": "transformer"}), pictures, torch.device("cpu"))
    with pytest.raises(TrainingError, match="do not fit this codec"):
        start_from(Codec(widths=(8, 12, 16)), {"g_a.nothing": torch.zeros(1)})
    with pytest.raises(TrainingError, match="do not fit this codec"):
        build(recipe(init="denoise-photo"), pictures, torch.device("cpu"))
