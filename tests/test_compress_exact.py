"""What decoding depends on is the same whole numbers everywhere: integer networks, integer tables."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from untrained_codec import write_codec

from img2img.core.blocks import conv
from img2img.tasks.compress import exact, latents
from img2img.tasks.compress.coder import TOTAL, Tables
from img2img.tasks.compress.hyperprior import Expected, HyperpriorCodec
from img2img.tasks.compress.latents import Chooser, HyperpriorCoding, factorized_rows
from img2img.tasks.compress.model_file import load_codec
from img2img.tasks.compress.tables import quantise


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(conv(12, 32), nn.ReLU(), conv(32, 32, 3, 2), nn.PixelShuffle(2), nn.ReLU(), conv(8, 5, 1))


def test_an_integer_network_is_the_network_nearly() -> None:
    net, x = network(), torch.randn(1, 12, 9, 7)
    integers = exact.IntegerNetwork(net)((x.double() * 2**exact.FRACTION).round())
    assert torch.equal(integers, integers.round())
    torch.testing.assert_close((integers / 2**exact.FRACTION).float(), net(x), atol=5e-3, rtol=0)


def test_an_integer_network_does_not_depend_on_threads_or_on_how_it_convolves() -> None:
    net = exact.IntegerNetwork(network())
    x = torch.randint(-(2**20), 2**20, (1, 12, 40, 30)).double()
    expected = net(x)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            with torch.backends.mkldnn.flags(enabled=count % 2 == 0):  # type: ignore[attr-defined]
                assert torch.equal(net(x), expected)
    finally:
        torch.set_num_threads(threads)
    # In another order of summing: the channels reversed, and as a sum of shifted matrix products.
    assert torch.equal(_by_shifts(net, x), expected)


def _by_shifts(net: exact.IntegerNetwork, x: torch.Tensor) -> torch.Tensor:
    """The same network, its convolutions done tap by tap in int64."""
    for layer in net.layers:
        if not isinstance(layer, tuple):
            x = layer(x)
            continue
        weight, bias, module = layer
        side, stride, pad = weight.shape[2], module.stride[0], int(module.padding[0])
        padded = nn.functional.pad(x, (pad, pad, pad, pad)).long()
        height, width = ((padded.shape[i] - side) // stride + 1 for i in (2, 3))
        total = bias.long().view(1, -1, 1, 1).expand(1, -1, height, width).clone()
        for i in reversed(range(side)):
            for j in range(side):
                part = padded[:, :, i : i + height * stride : stride, j : j + width * stride : stride]
                total += torch.einsum("oc,bchw->bohw", weight[:, :, i, j].long(), part)
        x = exact.divide(total.double(), exact.WEIGHT_FRACTION).clamp(-exact.LARGEST, exact.LARGEST)
    return x


def test_weights_that_could_overflow_are_refused() -> None:
    net = nn.Sequential(conv(4, 4))
    net[0].weight.data.fill_(3e5)
    with pytest.raises(ValueError, match="too large"):
        exact.IntegerNetwork(net)
    with pytest.raises(ValueError, match="Sigmoid"):
        exact.IntegerNetwork(nn.Sequential(nn.Sigmoid()))


def test_divide_rounds_halves_up_and_knows_negative_shifts() -> None:
    x = torch.tensor([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    assert exact.divide(x, 1).tolist() == [-1, -1, 0, 1, 1, 2]
    assert exact.divide(x, torch.tensor([1, 1, 1, -2, -2, -2])).tolist() == [-1, -1, 0, 4, 8, 12]


def test_integer_interpolation_meets_its_levels() -> None:
    table = torch.tensor([[1000, 7], [500, 8], [100, -9]], dtype=torch.int32)
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
    loaded = load_codec(write_codec(tmp_path_factory.mktemp("codec"), network="hyperprior"), torch.device("cpu"))
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
    size = torch.Size((3, 1, 2))
    assert factorized_rows(size, 0).tolist() == [0, 0, 16, 16, 32, 32]
    assert factorized_rows(size, 65535).tolist() == [15, 15, 31, 31, 47, 47]
    assert factorized_rows(size, 6553).tolist()[0] == 1  # 1.5 of 15 places: to the lower


@pytest.mark.parametrize("network", ["hyperprior", "chequerboard"])
def test_the_walk_in_integers_expects_what_the_network_expects(tmp_path: Path, network: str) -> None:
    """HyperpriorCoding follows HyperpriorCodec.code_slices: same means, sigmas to an eighth of an octave."""
    loaded = load_codec(write_codec(tmp_path, network=network), torch.device("cpu"))
    codec, coding = loaded.codec, loaded.coding
    assert isinstance(codec, HyperpriorCodec)
    assert isinstance(coding, HyperpriorCoding)
    rate, y = 30000, torch.randn(64, 6, 5) * codec.unit[0]
    with torch.inference_mode():
        chosen = coding.choose(y, rate)
        step = exact.interpolate(coding.levels["step"], rate).view(-1, 1, 1) / 2**exact.FRACTION
        log2_step = exact.interpolate(coding.levels["log2_step"], rate).view(-1, 1, 1) / 2**exact.FRACTION
        z_hat = coding.medians + torch.from_numpy(chosen.groups[0].symbols).view(-1, 2, 2) * coding._at(
            "hyper_step", rate
        )
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
            (z_hat / 2**exact.FRACTION).float()[None], torch.tensor([rate / 65535]), torch.Size((1, 64, 6, 5)), code
        )
        wanted = codec.refine(y_hat, codec.steps(torch.tensor([rate / 65535]))[0], features)
    torch.testing.assert_close(chosen.y_hat, wanted[0], atol=0.1, rtol=2e-2)


def test_a_chequerboard_has_every_place_once_and_neighbours_apart() -> None:
    codec, cpu = HyperpriorCodec(widths=(4, 4, 8), slices=(8,), context=True), torch.device("cpu")
    black, white = codec.passes(3, 5, cpu)
    assert (black ^ white).all()
    assert (black[1:] ^ black[:-1]).all()
    assert (black[:, 1:] ^ black[:, :-1]).all()
    assert [where.sum().item() for where in codec.passes(1, 1, cpu)] == [1, 0]


def test_tables_are_whole_numbers_for_both_networks(tmp_path_factory: pytest.TempPathFactory) -> None:
    for network in ("factorized", "hyperprior"):
        loaded = load_codec(write_codec(tmp_path_factory.mktemp("codec"), network=network), torch.device("cpu"))
        assert len(loaded.coding.chooser.tables.lengths) == {"factorized": 64 * 16, "hyperprior": 8 * 16 + 83}[network]
