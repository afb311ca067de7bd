"""The shared encoder-decoder: every combination at any size, every gradient, no leak, and references for its parts."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from img2img.core.blocks import Upsample, conv
from img2img.core.encoder_decoder import Decoder, Encoder, EncoderDecoder, Layout, original_unet
from img2img.core.gdn import GDN
from img2img.core.padding import center_crop, pad_to_multiple

DOWN = ("conv", "max", "average", "unshuffle")
UP = ("transposed", "nearest", "bilinear", "shuffle")
COMBINATIONS = [*itertools.product(DOWN, UP), ("max", "unpool")]


@pytest.mark.parametrize(("down", "up"), COMBINATIONS)
@pytest.mark.parametrize("block", ["plain", "residual"])
@pytest.mark.parametrize("skip", ["none", "add", "concat"])
def test_every_combination_keeps_any_size_and_learns(down: str, up: str, block: str, skip: str) -> None:
    torch.manual_seed(0)
    # Leaky, so that no feature of these tiny networks is dead and every gradient can be asked for.
    layout = Layout((6, 8, 12), 1, down=down, up=up, block=block, skip=skip, norm="instance", activation="leaky_relu")
    net = EncoderDecoder(3, 2, layout)
    out = net(torch.rand(2, 3, 21, 30))
    assert out.shape == (2, 2, 21, 30)
    (out * torch.rand_like(out)).mean().backward()
    # A bias in front of an instance norm cannot matter; every weight must.
    weights = {name: p.grad for name, p in net.named_parameters() if not name.endswith("bias")}
    assert [name for name, grad in weights.items() if grad is None or not grad.any()] == []


@pytest.mark.parametrize("norm", ["none", "batch", "instance", "gdn"])
def test_every_norm(norm: str) -> None:
    net = EncoderDecoder(1, 1, Layout((4, 8), 1, norm=norm, skip="concat"))
    assert net(torch.rand(2, 1, 9, 7)).shape == (2, 1, 9, 7)


@settings(max_examples=25, deadline=None)
@given(h=st.integers(1, 40), w=st.integers(1, 40))
def test_output_has_the_size_of_the_input(h: int, w: int) -> None:
    net = EncoderDecoder(3, 3, Layout((4, 8, 8), 1, skip="add"))
    assert net(torch.rand(1, 3, h, w)).shape == (1, 3, h, w)


def test_original_unet_has_the_shapes_and_the_parameters_of_figure_1() -> None:
    net = original_unet()
    assert sum(p.numel() for p in net.parameters()) == 31_030_658  # with 1 channel in and 2 classes out
    with torch.inference_mode():
        features, _ = net.encoder(torch.zeros(1, 1, 572, 572))
        assert [tuple(f.shape[1:]) for f in features] == [
            (64, 568, 568),
            (128, 280, 280),
            (256, 136, 136),
            (512, 64, 64),
            (1024, 28, 28),
        ]
        assert net.decoder(features).shape == (1, 2, 388, 388)


def test_pix2pix_generator_is_a_configuration() -> None:
    """Isola 2017, appendix: C64-C128-C256-C512x5 and back; with concatenated skips the decoder reads twice the maps."""
    layout = Layout(
        (64, 128, 256, 512, 512, 512, 512, 512),
        blocks=0,
        factors=(2,) * 8,
        kernels=(4,) * 8,
        activation="leaky_relu",
        skip="concat",
    )
    net = EncoderDecoder(3, 3, layout)
    down = [(m.in_channels, m.out_channels) for m in net.modules() if isinstance(m, nn.Conv2d)]
    up = [(m.in_channels, m.out_channels) for m in net.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert down == [(3, 64), (64, 128), (128, 256), (256, 512), *[(512, 512)] * 4]
    assert up == [(512, 512), *[(1024, 512)] * 3, (1024, 256), (512, 128), (256, 64), (128, 3)]
    # A bottleneck of one pixel has no statistics to normalise by, so the norm is left to the translator's own tests.
    assert net.eval()(torch.rand(1, 3, 256, 256)).shape == (1, 3, 256, 256)


def test_balle_transforms_are_configurations() -> None:
    """The lecture's Figure 8: 9x9 /4, 5x5 /2, 5x5 /2, each followed by GDN; the synthesis mirrors it with IGDN."""
    layout = Layout((16, 16, 16), 0, factors=(4, 2, 2), kernels=(9, 5, 5), norm="gdn", activation="none")
    g_a, g_s = Encoder(1, layout), Decoder(layout, 1)
    assert [m.inverse for m in g_a.modules() if isinstance(m, GDN)] == [False] * 3
    assert [m.inverse for m in g_s.modules() if isinstance(m, GDN)] == [True] * 2
    features, _ = g_a(torch.rand(1, 1, 64, 48))
    assert features[-1].shape == (1, 16, 4, 3)
    assert g_s(features).shape == (1, 1, 64, 48)


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_equals_compressai(inverse: bool) -> None:
    layers = pytest.importorskip("compressai.layers", exc_type=ImportError)
    torch.manual_seed(0)
    theirs, ours = layers.GDN(6, inverse=inverse), GDN(6, inverse=inverse)
    with torch.no_grad():
        theirs.gamma.add_(0.1 * torch.rand_like(theirs.gamma))
        ours.beta.raw.copy_(theirs.beta)
        ours.gamma.raw.copy_(theirs.gamma)
    x = torch.randn(2, 6, 5, 7, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    a, b = theirs(x), ours(y)
    torch.testing.assert_close(a, b)
    a.square().sum().backward()
    b.square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(theirs.gamma.grad, ours.gamma.raw.grad)


def test_gdn_closed_form_at_init() -> None:
    x = torch.full((1, 3, 1, 1), 2.0)
    torch.testing.assert_close(GDN(3)(x), x / (1 + 0.1 * 4) ** 0.5)
    torch.testing.assert_close(GDN(3, inverse=True)(x), x * (1 + 0.1 * 4) ** 0.5)


def test_shuffle_starts_without_checkerboard() -> None:
    up = Upsample("shuffle", 4, 3, kernel=3)
    out = up(torch.rand(1, 4, 6, 6))
    torch.testing.assert_close(out[..., ::2, ::2], out[..., 1::2, 1::2])


@pytest.mark.parametrize(("down", "up"), [*itertools.product(DOWN, UP[1:]), ("max", "unpool")])
def test_circular_network_commutes_with_rolling(down: str, up: str) -> None:
    net = EncoderDecoder(1, 1, Layout((4, 4), 1, down=down, up=up, padding_mode="circular", skip="concat"))
    x = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(net(x).roll((2, 4), (2, 3)), net(x.roll((2, 4), (2, 3))))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (4, 8), "blocks": (1,)}, "blocks has 1 entries for 2 widths"),
        ({"widths": (4, 8), "skip": "multiply"}, "skip must be one of"),
        ({"widths": (4, 8), "norm": "layer"}, "norm must be one of"),
        ({"widths": (4, 8), "down": "dct"}, "down must be one of"),
        ({"widths": (4, 8), "up": "dct"}, "up must be one of"),
        ({"widths": (4, 8), "block": "dense"}, "block must be one of"),
        ({"widths": (4, 8), "padding_mode": "circular"}, "cannot wrap around"),
        ({"widths": (4, 8), "down": "max", "blocks": 0}, "has no block"),
    ],
)
def test_wrong_layouts_say_what_is_wrong(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderDecoder(4, 1, Layout(**arguments))


def test_even_kernel_at_stride_one_is_refused() -> None:
    with pytest.raises(ValueError, match="odd kernel"):
        conv(1, 1, kernel=2)


@given(h=st.integers(1, 20), w=st.integers(1, 20), multiple=st.sampled_from([1, 2, 8, 16]))
def test_padding_mirrors_and_only_on_the_right_and_bottom(h: int, w: int, multiple: int) -> None:
    x = torch.rand(1, 2, h, w)
    padded = pad_to_multiple(x, multiple)
    assert padded.shape[-2] % multiple == padded.shape[-1] % multiple == 0
    assert torch.equal(padded[..., :h, :w], x)
    bottom, right = padded.shape[-2] - h, padded.shape[-1] - w
    if bottom < h and right < w:
        assert torch.equal(padded[..., -1, -1], x[..., h - 1 - bottom, w - 1 - right])
    else:
        assert torch.equal(padded[..., -1, -1], x[..., -1, -1])


def test_a_circular_picture_is_never_padded() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        pad_to_multiple(torch.rand(1, 1, 9, 8), 8, circular=True)


def test_center_crop() -> None:
    assert center_crop(torch.arange(5.0).expand(1, 1, 5, 5), 3, 3)[0, 0, 0].tolist() == [1, 2, 3]
