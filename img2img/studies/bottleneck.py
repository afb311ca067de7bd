"""Bottlenecks: convolutional auto-encoders beside a linear one (PCA), what their codes cost, the shipped codec."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..core.encoder_decoder import EncoderDecoder, Layout
from ..images import Picture
from ..metrics import psnr, to_8bit
from .fitting import Plan, fit, seeded
from .pictures import crops_of, grey, photograph, photographs, shown
from .study import Finding, Findings, Part, Settings, Table, progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Strides and channels of the codes.
CODES = ((4, 2), (4, 8), (8, 2), (8, 8), (8, 32), (16, 8), (16, 32), (16, 128), (32, 32), (32, 128), (32, 256))
QUICK = ((4, 2), (8, 8))
CROP = 64
CODEC = "codec-fast"
QUALITIES = (1, 20, 40, 60)  # of the codec: about 0.1 to 1 bit per pixel

PAGE = (
    Part(
        "A code smaller than the picture",
        """An auto-encoder squeezes the picture through a bottleneck: an encoder makes it 4 to 32 times smaller each
        way, a decoder makes it large again, and both are trained to give the picture back. What passes is c channels
        at each place: c / s² numbers for each pixel with stride s. Too few, and what is rare is lost first: fine
        texture.

        The linear auto-encoder needs no training. Its best is known: the principal components (PCA) of blocks of s x s
        pixels, which is what a strided convolution without activation can learn.""",
        {
            "curve": "PSNR on a picture that none was trained on, against the numbers in the code for each pixel.",
            "pictures": "The picture through bottlenecks; below, through PCA with as many numbers.",
        },
        ("gain", "slope"),
        ("codes",),
    ),
    Part(
        "What the numbers cost in bits",
        """Numbers are not bits. Each channel of the code is rounded to 256 levels between its least and its largest
        value over the training pictures. That costs 8 bits each, or, written by an ideal entropy coder that knows how
        often each level occurs, their entropy. A learned codec is such an auto-encoder which was trained to have a
        small entropy in the first place, with a transform (GDN) and an entropy model made for it, and for very much
        longer.""",
        {"bits": "PSNR against bits per pixel: raw, by entropy, and whole files of the shipped codec."},
        ("bits", "codec"),
    ),
)


@dataclass(frozen=True)
class Measured:
    """One bottleneck.

    Args:
        stride: by which the code is smaller than the picture, each way.
        channels: of the code.
        psnr: of the picture that came through.
        linear: the same through PCA.
        rounded: with the code in 8 bits.
        entropy: bits per pixel of these.
    """

    stride: int
    channels: int
    psnr: float
    linear: float
    rounded: float
    entropy: float

    @property
    def share(self) -> float:
        """Numbers in the code for each pixel."""
        return self.channels / self.stride**2


def auto_encoder(stride: int, channels: int, width: int = 16) -> EncoderDecoder:
    """A configuration of the core: each scale halves the size, and beside it goes a linear block transform."""
    scales = round(math.log2(stride))
    widths = (*(min(64, width * 2**i) for i in range(scales - 1)), channels)
    layout = Layout(
        widths=widths,
        blocks=0,
        factors=(2,) * scales,
        activation="leaky_relu",
        kernels=(4,) * scales,
        shortcut=True,
    )
    return EncoderDecoder(1, 1, layout)


def run(settings: Settings) -> Findings:
    """Train all of them and measure them beside PCA and the codec."""
    findings = Findings()
    learn_from = [grey(picture) for picture in photographs(settings.sized(96, 256))]
    picture = grey(photograph(settings.picture, settings.sized(96, 256), multiple=32))[None]
    findings.arrays["picture"] = shown(picture)
    plan = settings.sized(Plan(4, 4, 2e-3, judged=1), Plan(600, 16, 2e-3, judged=1))
    found = []
    codes = settings.sized(QUICK, CODES)
    for stride, channels in progress(codes, "bottlenecks", len(codes)):
        found.append(_one(findings, learn_from, picture, stride, channels, plan, settings))
    findings.arrays["found"] = found
    with torch.no_grad():
        codec = _codec(picture, settings.sized(QUALITIES[1:3], QUALITIES))
    findings.arrays["codec"] = codec
    _sentences(findings, found, codec)
    return findings


def _one(
    findings: Findings,
    learn_from: list[Tensor],
    picture: Tensor,
    stride: int,
    channels: int,
    plan: Plan,
    settings: Settings,
) -> Measured:
    def batch(n: int, generator: Generator) -> tuple[Tensor, Tensor]:
        x = crops_of(learn_from, n, CROP, generator) - 0.5
        return x, x

    net = seeded(settings.seed, partial(auto_encoder, stride, channels))
    net, _ = fit(net, batch, F.mse_loss, plan, settings, f"1/{stride}, {channels} channels")
    with torch.no_grad():
        code, given = through(net, picture)
        low, high = _range(net, learn_from)
        levels = ((code - low) / (high - low) * 255).round().clamp(0, 255)
        rounded = net.decoder([levels / 255 * (high - low) + low])[..., : picture.shape[-2], : picture.shape[-1]] + 0.5
        linear = pca(learn_from, picture, stride, channels)
    findings.arrays[f"through {stride} {channels}"] = shown(given)
    findings.arrays[f"linear {stride} {channels}"] = shown(linear)
    bits = sum(entropy(channel) * channel.numel() for channel in levels[0]) / picture[0, 0].numel()
    return Measured(stride, channels, psnr(given, picture), psnr(linear, picture), psnr(rounded, picture), bits)


def through(net: EncoderDecoder, picture: Tensor) -> tuple[Tensor, Tensor]:
    """The code of a picture whose sides are multiples of the stride, and what comes back."""
    features, _ = net.encoder(picture - 0.5)
    return features[-1], net.decoder(features[-1:]) + 0.5


def _range(net: EncoderDecoder, learn_from: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Least and largest value of each channel of the code over pictures: (1, C, 1, 1) each."""
    stride = net.layout.stride
    codes = []
    for picture in learn_from:
        height, width = (n - n % stride for n in picture.shape[-2:])
        codes.append(through(net, picture[None, :, :height, :width])[0].transpose(0, 1).flatten(1))
    values = torch.cat(codes, 1)
    low, high = values.amin(1).view(1, -1, 1, 1), values.amax(1).view(1, -1, 1, 1)
    return low, high.maximum(low + 1e-6)


def entropy(levels: Tensor) -> float:
    """Bits a number of an ideal coder that knows how often each level occurs."""
    share = torch.unique(levels, return_counts=True)[1].double() / levels.numel()
    return float(-(share * share.log2()).sum())


def pca(learn_from: list[Tensor], picture: Tensor, stride: int, channels: int) -> Tensor:
    """A picture through the first principal components of blocks of stride x stride pixels of other pictures.

    Args:
        learn_from: grey pictures (1, H, W).
        picture: (1, 1, H, W), its sides multiples of the stride.
        stride: side of a block.
        channels: how many components; at most stride^2.
    """
    blocks = torch.cat([F.unfold(p[None], stride, stride=max(1, stride // 2))[0].T for p in learn_from]).double()
    mean = blocks.mean(0)
    centred = blocks - mean
    _, axes = torch.linalg.eigh(centred.T @ centred)
    basis = axes[:, -min(channels, stride**2) :]
    own = F.unfold(picture, stride, stride=stride)[0].T.double() - mean
    back = (own @ basis @ basis.T + mean).float().T[None]
    return F.fold(back, picture.shape[-2:], stride, stride=stride)


def _codec(picture: Tensor, qualities: tuple[int, ...]) -> list[tuple[float, float]]:
    """Bits per pixel of whole files of the shipped codec, and PSNR of what they decode to."""
    from ..tasks.compress import Compressor, Decompressor, Target

    samples = to_8bit(picture[0].permute(1, 2, 0))
    compressor, decompressor = Compressor.from_pretrained(CODEC), Decompressor()
    points = []
    for quality in qualities:
        coded = compressor.compress(Picture(samples), Target(quality=quality))
        decoded = decompressor.decompress(coded.data).samples
        back = decoded[..., :1] if decoded.shape[2] == 1 else decoded
        bpp = 8 * len(coded.data) / (samples.shape[0] * samples.shape[1])
        points.append((bpp, psnr(back / 255, np.broadcast_to(samples, back.shape) / 255)))
    return points


def _sentences(findings: Findings, found: list[Measured], codec: list[tuple[float, float]]) -> None:
    rows: list[tuple[str | float, ...]] = [
        (
            f"1/{m.stride}",
            m.channels,
            round(m.share, 4),
            *(round(value, 2) for value in (m.psnr, m.linear, m.rounded)),
            *(round(value, 3) for value in (8 * m.share, m.entropy)),
        )
        for m in found
    ]
    header = (
        "size",
        "channels",
        "numbers a pixel",
        "PSNR, dB",
        "PCA, dB",
        "in 8 bits, dB",
        "raw bits a pixel",
        "entropy",
    )
    findings.tables["codes"] = Table(header, rows)
    better = [m for m in found if m.psnr > m.linear]
    gains = [m.psnr - m.linear for m in found]
    findings.sentences["gain"] = Finding(
        f"{len(better)} of {len(found)} auto-encoders beat PCA with as many numbers; the difference is "
        f"{min(gains):+.1f} to "
        f"{max(gains):+.1f} dB.",
        {"better": len(better), "of": len(found), "least": min(gains), "most": max(gains)},
    )
    least, most = min(found, key=lambda m: m.share), max(found, key=lambda m: m.share)
    findings.sentences["slope"] = Finding(
        f"From {least.share:.3f} numbers a pixel to {most.share:.3f} the PSNR goes from {least.psnr:.1f} to "
        f"{most.psnr:.1f} dB "
        f"(PCA: {least.linear:.1f} to {most.linear:.1f}).",
        {"least": least.psnr, "most": most.psnr},
    )
    saved = 1 - sum(m.entropy for m in found) / sum(8 * m.share for m in found)
    lost = max(m.psnr - m.rounded for m in found)
    findings.sentences["bits"] = Finding(
        f"In 8 bits at most {lost:.2f} dB are lost, and an entropy coder saves {saved:.0%} of the bits.",
        {"lost": lost, "saved": saved},
    )
    bpp, value = codec[len(codec) // 2]
    near = min(found, key=lambda m: abs(m.entropy - bpp))
    findings.sentences["codec"] = Finding(
        f"`{CODEC}` reaches {value:.1f} dB with files of {bpp:.2f} bits per pixel; the auto-encoder whose entropy is "
        f"nearest "
        f"({near.entropy:.2f} bits per pixel) reaches {near.rounded:.1f} dB.",
        {"codec_bpp": bpp, "codec_psnr": value, "bpp": near.entropy, "psnr": near.rounded},
    )


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    return {
        "curve": _draw_curve(findings.arrays),
        "pictures": _draw_pictures(findings.arrays),
        "bits": _draw_bits(findings.arrays),
    }


def _draw_curve(arrays: dict[str, Any]) -> Figure:
    from .drawing import COLOURS, axes_words, panels

    whole, axes = panels(1, 1, 3.2)
    for n, stride in enumerate(sorted({m.stride for m in arrays["found"]})):
        own = [m for m in arrays["found"] if m.stride == stride]
        share = [m.share for m in own]
        axes[0, 0].plot(share, [m.psnr for m in own], "o-", color=COLOURS[n], label=f"size 1/{stride}", markersize=4)
        axes[0, 0].plot(share, [m.linear for m in own], "x--", color=COLOURS[n], label=f"PCA, 1/{stride}", linewidth=1)
    axes[0, 0].set_xscale("log")
    axes_words(axes[0, 0], "numbers in the code for each pixel", "PSNR, dB")
    return whole


def _draw_pictures(arrays: dict[str, Any]) -> Figure:
    from .drawing import bare, image, panels

    found = sorted(arrays["found"], key=lambda m: m.share)
    chosen = [found[i] for i in sorted({0, len(found) // 2, len(found) - 1})]
    whole, axes = panels(2, len(chosen) + 1, 2.6)
    image(axes[0, 0], arrays["picture"], "picture", limit=1.0)
    bare(axes[1, 0])
    for column, m in enumerate(chosen, 1):
        image(
            axes[0, column],
            arrays[f"through {m.stride} {m.channels}"],
            f"1/{m.stride}, {m.channels}: {m.psnr:.1f} dB",
            limit=1.0,
        )
        image(axes[1, column], arrays[f"linear {m.stride} {m.channels}"], f"PCA: {m.linear:.1f} dB", limit=1.0)
    return whole


def _draw_bits(arrays: dict[str, Any]) -> Figure:
    from .drawing import BLUE, GREEN, ORANGE, axes_words, panels

    found = arrays["found"]
    whole, axes = panels(1, 1, 3.0)
    ax = axes[0, 0]
    ax.plot(
        [8 * m.share for m in found],
        [m.rounded for m in found],
        "o",
        color=ORANGE,
        label="8 bits a number",
        markersize=4,
    )
    ax.plot([m.entropy for m in found], [m.rounded for m in found], "o", color=BLUE, label="entropy", markersize=4)
    ax.plot(*zip(*arrays["codec"], strict=True), "s-", color=GREEN, label=CODEC, markersize=4)
    ax.set_xscale("log")
    axes_words(ax, "bits per pixel", "PSNR, dB")
    return whole
