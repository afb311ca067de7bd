"""The data's way through U-Nets, drawn from the live models; and what each skip of the shipped denoiser is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ..core.encoder_decoder import EncoderDecoder, original_unet
from ..core.padding import pad_to_multiple
from ..metrics import psnr
from .pictures import photograph, shown
from .shipped import network
from .study import Finding, Findings, Part, Settings, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGMA = 25 / 255
WEIGHTS = "denoise-fast"

PAGE = (
    Part(
        "The original U-Net",
        """On the way down each stage convolves twice and halves the size; on the way up each doubles it again and
        joins what it gets from below with what the stage of the same size had on the way down. So the network knows
        both: what is there, from far down, and where exactly, from across. Its convolutions are not padded, so the
        picture loses two pixels with each, and the parts that come from across are cropped.""",
        {
            "original": "Every feature map of the U-Net of 2015, drawn from the model that this suite builds: height "
            "by its side (on a square-root scale), width by its channels (but for the narrowest); above each its "
            "channels, below its side. "
            "Arrows: the skips."
        },
        ("original",),
    ),
    Part(
        "The shipped denoiser",
        f"""`{WEIGHTS}` is a U-Net, too. It takes the noisy picture and a map of the noise level, works at 1/2, 1/4 and
        1/8 of the size, adds across instead of laying side by side, and predicts the noise.""",
        {
            "shipped": "Its feature maps for this picture.",
            "maps": "How strong the features are at each scale, on the way down and up: the mean of their squares "
            "over channels, from dark to light, for the picture with noise of 25 grey levels.",
        },
        ("shipped",),
        ("boxes",),
    ),
    Part(
        "Each skip cut in turn",
        """What comes across is set to nothing at one scale, or at all of them; the rest of the trained network stays
        as it is. So this says how much it relies on each skip, not how good a network trained without it would be (the
        study of loss landscapes trains such ones).""",
        {"cuts": "The noisy picture, what the whole network makes of it, and what is left with skips cut."},
        ("cuts",),
        ("cuts",),
    ),
)


@dataclass(frozen=True)
class Box:
    """One feature map on its way.

    Args:
        way: `down` or `up`.
        scale: 0 is the finest.
        shape: (C, H, W).
    """

    way: str
    scale: int
    shape: tuple[int, ...]


def boxes(net: EncoderDecoder, run_it: Any) -> list[Box]:
    """Every feature map between resamplings and blocks, in the order in which it is computed, while `run_it` runs."""
    found: list[Box] = []

    def watch(module: nn.Module, way: str, scale: int) -> Any:
        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            out = output[0] if isinstance(output, tuple) else output
            found.append(Box(way, scale, tuple(out.shape[1:])))

        return module.register_forward_hook(note)

    hooks = []
    for scale, (down, blocks) in enumerate(zip(net.encoder.down, net.encoder.stages, strict=True)):
        hooks += [watch(module, "down", scale) for module in (down, *blocks.children())]
    last = len(net.decoder.up) - 1
    for i, up in enumerate(net.decoder.up):
        inside = net.decoder.stages[i].children() if i < last else ()
        hooks += [watch(module, "up", max(0, last - 1 - i)) for module in (up, *inside)]
    try:
        run_it()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def without_skips(net: EncoderDecoder, x: Tensor, cut: set[int]) -> Tensor:
    """What a network with additive skips gives if nothing comes across at some scales; with none cut, net(x)."""
    height, width = x.shape[-2:]
    features, indices = net.encoder(pad_to_multiple(x, net.layout.stride))
    y = features[-1]
    for scale in reversed(range(len(features) - 1)):
        y = net.decoder.step(scale, y, None if scale in cut else features[scale], indices[scale + 1])
    return net.decoder.finish(y, indices[0])[..., :height, :width]


@torch.no_grad()
def run(settings: Settings) -> Findings:
    """Look at both and cut."""
    findings = Findings()
    _original(findings)
    net = network(WEIGHTS)
    clean = photograph(settings.picture, settings.sized(96, 256))[None]
    noise = torch.randn(clean.shape, generator=Generator().manual_seed(settings.seed))
    noisy = clean + SIGMA * noise
    level = torch.full_like(noisy[:, :1], SIGMA)
    x = torch.cat((noisy, level), 1)
    core: EncoderDecoder = net.noise  # type: ignore[assignment]
    _shipped(findings, core, x)
    _maps(findings, core, x)
    _cuts(findings, core, clean, noisy, x)
    return findings


def _original(findings: Findings) -> None:
    with torch.device("meta"):
        net, x = original_unet(), torch.empty(1, 1, 572, 572)
        found = boxes(net, lambda: net(x))
    findings.arrays["original"] = found
    parameters = sum(p.numel() for p in net.parameters())
    findings.sentences["original"] = Finding(
        f"{parameters / 1e6:.1f} million parameters. A picture of 572x572 pixels is {found[-1].shape[-1]} pixels "
        f"wide when it "
        f"comes out; at the bottom there are {max(box.shape[0] for box in found)} maps of "
        f"{min(b.shape[-1] for b in found)} "
        "pixels a side.",
        {"parameters": parameters, "output": found[-1].shape[-1]},
    )


def _shipped(findings: Findings, core: EncoderDecoder, x: Tensor) -> None:
    found = boxes(core, lambda: core(x))
    findings.arrays["shipped"] = found
    parameters = sum(p.numel() for p in core.parameters())
    findings.sentences["shipped"] = Finding(
        f"{parameters / 1e6:.1f} million parameters, {core.layout.widths} channels at its {len(core.layout.widths)} "
        f"scales.",
        {"parameters": parameters},
    )
    findings.tables["boxes"] = Table(
        ("way", "scale", "channels", "height", "width"),
        [
            (box.way, f"1/{2 ** (box.scale + 1)}" if i < len(found) - 1 else "picture", *box.shape)
            for i, box in enumerate(found)
        ],
    )


def _maps(findings: Findings, core: EncoderDecoder, x: Tensor) -> None:
    features, indices = core.encoder(pad_to_multiple(x, core.layout.stride))
    maps = [("down", scale, f) for scale, f in enumerate(features)]
    y = features[-1]
    for scale in reversed(range(len(features) - 1)):
        y = core.decoder.step(scale, y, features[scale], indices[scale + 1])
        maps.append(("up", scale, y))
    findings.arrays["maps"] = [(way, scale, f[0].square().mean(0).sqrt().numpy()) for way, scale, f in maps]


def _cuts(findings: Findings, core: EncoderDecoder, clean: Tensor, noisy: Tensor, x: Tensor) -> None:
    scales = len(core.layout.widths) - 1
    names = {f"1/{2 ** (scale + 1)}": {scale} for scale in range(scales)} | {"all": set(range(scales))}
    whole = noisy - without_skips(core, x, set())
    best = psnr(whole, clean)
    rows: list[tuple[str | float, ...]] = [("none", round(best, 2), 0.0)]
    findings.arrays |= {"clean": shown(clean), "noisy": shown(noisy), "whole": shown(whole)}
    findings.arrays["cuts"] = {}
    lost: dict[str, float] = {}
    for name, cut in names.items():
        left = noisy - without_skips(core, x, cut)
        lost[name] = best - psnr(left, clean)
        findings.arrays["cuts"][name] = (shown(left), psnr(left, clean))
        rows.append((name, round(psnr(left, clean), 2), round(-lost[name], 2)))
    findings.arrays["best"], findings.arrays["before"] = best, psnr(noisy, clean)
    findings.tables["cuts"] = Table(("skip cut at", "PSNR, dB", "change, dB"), rows)
    worst = max((name for name in names if name != "all"), key=lambda name: lost[name])
    findings.sentences["cuts"] = Finding(
        f"The whole network reaches {best:.2f} dB (noisy: {findings.arrays['before']:.2f}). Cutting the skip at "
        f"{worst} of the "
        f"size costs most, {lost[worst]:.1f} dB; cutting all of them costs {lost['all']:.1f} dB.",
        {"whole": best, **{f"lost_{name}": value for name, value in lost.items()}},
    )


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    return {
        "original": _draw_boxes(findings.arrays["original"], 16),
        "shipped": _draw_boxes(findings.arrays["shipped"], 8),
        "maps": _draw_maps(findings.arrays["maps"]),
        "cuts": _draw_cuts(findings.arrays),
    }


def _draw_boxes(found: list[Box], per_channel: float) -> Figure:
    """The U: one row a scale, boxes from left to right."""
    from matplotlib.patches import Rectangle

    from .drawing import BLUE, GREY, ORANGE, bare, panels

    whole, axes = panels(1, 1, 4.4)
    ax = axes[0, 0]
    scales = max(box.scale for box in found) + 1
    left, spots = 0.0, []
    for box in found:
        wide, high = max(13.0, box.shape[0] / per_channel), 1.6 * box.shape[-1] ** 0.5
        bottom = -box.scale * 52.0
        colour = BLUE if box.way == "down" else ORANGE
        ax.add_patch(Rectangle((left, bottom), wide, high, facecolor=colour, alpha=0.75, edgecolor="white"))
        ax.text(left + wide / 2, bottom + high + 1, str(box.shape[0]), ha="center", va="bottom", fontsize=5.5)
        ax.text(left + wide / 2, bottom - 1, str(box.shape[-1]), ha="center", va="top", fontsize=5, color=GREY)
        spots.append((box, left, left + wide, bottom + high / 2))
        left += wide + 7
    for scale in range(scales - 1):
        begin = [spot for spot in spots if spot[0].scale == scale and spot[0].way == "down"][-1]
        end = next(spot for spot in spots if spot[0].scale == scale and spot[0].way == "up")
        ax.annotate(
            "",
            (end[1] - 1, end[3]),
            (begin[2] + 1, begin[3]),
            arrowprops={"arrowstyle": "->", "color": GREY, "linewidth": 1},
        )
    ax.set_xlim(-5, left)
    ax.set_ylim(-52 * scales + 30, 1.6 * max(box.shape[-1] for box in found) ** 0.5 + 12)
    bare(ax)
    return whole


def _draw_maps(maps: list[tuple[str, int, np.ndarray]]) -> Figure:
    from .drawing import image, panels

    whole, axes = panels(1, len(maps), 1.4)
    for ax, (way, scale, values) in zip(axes[0], maps, strict=True):
        image(ax, values, f"{way}, 1/{2 ** (scale + 1)}")
    return whole


def _draw_cuts(arrays: dict[str, Any]) -> Figure:
    from .drawing import bare, image, panels

    cuts = arrays["cuts"]
    whole, axes = panels(2, 3, 3.0)
    for ax in axes.flat:
        bare(ax)
    image(axes[0, 0], arrays["noisy"], f"noisy, {arrays['before']:.1f} dB")
    image(axes[0, 1], arrays["whole"], f"whole, {arrays['best']:.1f} dB")
    for ax, (name, (picture, value)) in zip(axes.flat[2:], cuts.items(), strict=False):
        image(ax, picture, f"cut at {name}, {value:.1f} dB")
    return whole
