"""What decoding depends on is the same whole numbers everywhere: integer networks, integer tables."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from untrained_codec import write_codec

from img2img.core.blocks import conv
from img2img.engines.torch_engine import TorchEngine
from img2img.tasks.compress import exact, latents
from img2img.tasks.compress.coder import TOTAL, Tables
from img2img.tasks.compress.hyperprior import Expected, HyperpriorCodec
from img2img.tasks.compress.latents import Chooser, HyperpriorCoding, factorized_rows
from img2img.tasks.compress.model_file import load_codec
from img2img.tasks.compress.networks import codec_of
from img2img.tasks.compress.tables import quantise

LAYERS: tuple[exact.Layer, ...] = ("conv", "relu", "conv", "shuffle", "relu", "conv")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(conv(12, 32), nn.ReLU(), conv(32, 32), nn.PixelShuffle(2), nn.ReLU(), conv(8, 5, 1))


def in_integers(net: nn.Sequential) -> exact.IntegerNetwork:
    tensors = {f"net.{name}": tensor.numpy() for name, tensor in net.state_dict().items()}
    return exact.IntegerNetwork(LAYERS, tensors, "net")


def test_an_integer_network_is_the_network_nearly() -> None:
    net, x = network(), torch.randn(1, 12, 9, 7)
    integers = in_integers(net)(np.rint(x[0].double().numpy() * 2**exact.FRACTION))
    assert np.array_equal(integers, np.rint(integers))
    expected = net(x)[0].detach().numpy()
    np.testing.assert_allclose(integers / 2**exact.FRACTION, expected, atol=5e-3)


def test_an_integer_network_does_not_depend_on_the_order_of_summing() -> None:
    """NumPy's sums are those of 64-bit whole numbers, and of PyTorch's convolutions in float64 by 1 to 3 threads."""
    net = network()
    x = np.random.default_rng(0).integers(-(2**20), 2**20, (12, 40, 30)).astype(np.float64)
    result = in_integers(net)(x)
    assert np.array_equal(result, _in_int64(in_integers(net), x))
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            with torch.backends.mkldnn.flags(enabled=count % 2 == 0):  # type: ignore[attr-defined]
                assert np.array_equal(_by_torch(net, torch.from_numpy(x)[None])[0].numpy(), result)
    finally:
        torch.set_num_threads(threads)


def _in_int64(net: exact.IntegerNetwork, x: np.ndarray) -> np.ndarray:
    """The same network, its convolutions done tap by tap in int64, in another order."""
    for layer in net.layers:
        if not isinstance(layer, exact.Convolution):
            x = layer(x)
            continue
        side = layer.weight.shape[2]
        padded = np.pad(x, ((0, 0), *[(side // 2, side // 2)] * 2)).astype(np.int64)
        total = np.zeros((len(layer.bias), *x.shape[1:]), np.int64)
        for i in reversed(range(side)):
            for j in range(side):
                part = padded[:, i : i + x.shape[1], j : j + x.shape[2]]
                total += np.tensordot(layer.weight[:, :, i, j].astype(np.int64), part, 1)
        total += layer.bias.astype(np.int64)[:, None, None]
        divided = exact.divide(total.astype(np.float64), exact.WEIGHT_FRACTION)
        x = divided.clip(-exact.LARGEST, exact.LARGEST)
    return x


def _by_torch(net: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    for layer in net:
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is not None
            weight = (layer.weight.detach().double() * 2**exact.WEIGHT_FRACTION).round()
            bias = (layer.bias.detach().double() * 2 ** (exact.WEIGHT_FRACTION + exact.FRACTION)).round()
            total = nn.functional.conv2d(x, weight, bias, layer.stride, layer.padding)
            x = (total / 2**exact.WEIGHT_FRACTION + 0.5).floor().clamp(-exact.LARGEST, exact.LARGEST)
        else:
            x = layer(x)
    return x


def test_weights_that_could_overflow_are_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        exact.Convolution(np.full((4, 4, 3, 3), 3e5), np.zeros(4))


def test_divide_rounds_halves_up_and_knows_negative_shifts() -> None:
    x = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
    assert exact.divide(x, 1).tolist() == [-1, -1, 0, 1, 1, 2]
    assert exact.divide(x, np.array([1, 1, 1, -2, -2, -2], np.int32)).tolist() == [-1, -1, 0, 4, 8, 12]


def test_integer_interpolation_meets_its_levels() -> None:
    table = np.array([[1000, 7], [500, 8], [100, -9]], np.int32)
    assert exact.interpolate(table, 0).tolist() == [1000, 7]
    assert exact.interpolate(table, 65535).tolist() == [100, -9]
    assert exact.interpolate(table, 32768).tolist() == [500, 8]
    assert exact.interpolate(table, 16384).tolist() == [750, 8]


def test_quantised_frequencies_sum_and_keep_what_matters() -> None:
    mass = np.array([1e-7, 0.1, 0.8, 0.1 - 2e-7, 1e-7])
    first, frequencies = quantise(mass, -2)
    assert first == -1
    assert frequencies.sum() == TOTAL
    assert len(frequencies) == 4
    np.testing.assert_allclose(frequencies[:3] / TOTAL, [0.1, 0.8, 0.1], atol=1e-4)
    assert frequencies[-1] >= 1
    many = quantise(np.full(5000, 1 / 5000), 0)[1]
    assert many.sum() == TOTAL
    assert many.min() >= 1


def test_gaussian_tables_are_the_gaussians(tmp_path_factory: pytest.TempPathFactory) -> None:
    loaded = load_codec(write_codec(tmp_path_factory.mktemp("codec"), network="hyperprior"), TorchEngine("cpu", "fp32"))
    coding = loaded.coding
    assert isinstance(coding, HyperpriorCoding)
    tables = coding.chooser.tables
    row = coding.gaussians + 26 + 16  # log2 sigma = 2
    symbols = torch.arange(-8, 9)
    normal = torch.distributions.Normal(0.0, 4.0)
    expected = normal.cdf(symbols + 0.5) - normal.cdf(symbols - 0.5)
    start = -8 - int(tables.firsts[row])
    np.testing.assert_allclose(tables.row(row)[start : start + 17] / TOTAL, expected.numpy(), atol=3e-5)


def test_a_symbol_goes_to_zero_where_that_is_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "DISTORTION", 8.0)
    tables = Tables(np.array([100, 65335, 100, 1, 16384, 16384, 16384, 16384]), np.array([4, 4]), np.array([-1, -1]))
    choose = Chooser(tables)
    scaled = np.array([0.6, -0.95, 1.3, 2.1, 0.6, -0.6, 0.4], np.float32)
    rows = np.array([0, 0, 0, 1, 1, 1, 1])
    # In row 0 a 1 costs 9.4 bits more than a 0; in row 1 they cost the same, and a 2 needs the escape.
    assert choose(scaled, rows).tolist() == [0, 0, 1, 1, 1, -1, 0]
    np.testing.assert_allclose(choose.bits(np.array([0, 1]), np.array([1, 1])), [2, 2])
    assert choose.bits(np.array([5000]), np.array([1])) > 10


def test_rows_of_a_factorised_prior_follow_the_channel_and_the_rate() -> None:
    size = (3, 1, 2)
    assert factorized_rows(size, 0).tolist() == [0, 0, 16, 16, 32, 32]
    assert factorized_rows(size, 65535).tolist() == [15, 15, 31, 31, 47, 47]
    assert factorized_rows(size, 6553).tolist()[0] == 1  # 1.5 of 15 places: to the lower


@pytest.mark.parametrize("network", ["hyperprior", "chequerboard"])
def test_the_walk_in_integers_expects_what_the_network_expects(tmp_path: Path, network: str) -> None:
    """HyperpriorCoding follows HyperpriorCodec.code_slices: same means, sigmas to an eighth of an octave."""
    loaded = load_codec(write_codec(tmp_path, network=network), TorchEngine("cpu", "fp32"))
    codec, coding = codec_of(loaded.checkpoint), loaded.coding
    assert isinstance(codec, HyperpriorCodec)
    assert isinstance(coding, HyperpriorCoding)
    rate, y = 30000, torch.randn(64, 6, 5) * codec.unit[0]
    with torch.inference_mode():
        chosen = coding.choose(y.numpy(), rate)
        step, log2_step, hyper = (
            torch.from_numpy(coding._at(name, rate)) / 2**exact.FRACTION for name in ("step", "log2_step", "hyper_step")
        )
        medians = torch.from_numpy(coding.medians) / 2**exact.FRACTION
        z_hat = medians + torch.from_numpy(chosen.groups[0].symbols).view(-1, 2, 2) * hyper
        steps, log2_steps = step.float().split(codec.slices), log2_step.split(codec.slices)
        groups = iter(chosen.groups[1:])

        def code(i: int, expected: Expected, where: torch.Tensor) -> torch.Tensor:
            symbols, rows = (torch.from_numpy(part).view(codec.slices[i], -1) for part in next(groups))
            eighths = 8 * (expected.log2_sigma[0] - log2_steps[i])[:, where]
            torch.testing.assert_close(
                (rows - coding.gaussians - 26).float(), eighths.clamp(-26, 56).float(), atol=0.6, rtol=0
            )
            y_hat = torch.zeros_like(expected.mu)
            y_hat[:, :, where] = expected.mu[:, :, where] + symbols * steps[i][..., 0]
            return y_hat

        y_hat, features = codec.code_slices(
            z_hat.float()[None], torch.tensor([rate / 65535]), torch.Size((1, 64, 6, 5)), code
        )
        wanted = codec.refine(y_hat, codec.steps(torch.tensor([rate / 65535]))[0], features)
    torch.testing.assert_close(torch.from_numpy(chosen.y_hat), wanted[0], atol=0.1, rtol=2e-2)


def test_a_chequerboard_has_every_place_once_and_neighbours_apart() -> None:
    codec, cpu = HyperpriorCodec(widths=(4, 4, 8), slices=(8,), context=True), torch.device("cpu")
    black, white = codec.passes(3, 5, cpu)
    assert (black ^ white).all()
    assert (black[1:] ^ black[:-1]).all()
    assert (black[:, 1:] ^ black[:, :-1]).all()
    assert [where.sum().item() for where in codec.passes(1, 1, cpu)] == [1, 0]
    coding = HyperpriorCoding.__new__(HyperpriorCoding)
    coding.context = [exact.Convolution(np.zeros((1, 1, 3, 3)), np.zeros(1))]
    assert np.array_equal(np.stack(coding.passes(3, 5)), torch.stack([black, white]).numpy())


def test_tables_are_whole_numbers_for_both_networks(tmp_path_factory: pytest.TempPathFactory) -> None:
    for network in ("factorized", "hyperprior"):
        loaded = load_codec(write_codec(tmp_path_factory.mktemp("codec"), network=network), TorchEngine("cpu", "fp32"))
        assert len(loaded.coding.chooser.tables.lengths) == {"factorized": 64 * 16, "hyperprior": 8 * 16 + 83}[network]
