"""Ways up: transposed convolution drawn step by step, unpooling, sub-pixels; and the chequerboard of each, measured."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..core.blocks import Up, Upsample
from ..core.encoder_decoder import EncoderDecoder, Layout
from ..metrics import psnr
from .fitting import Plan, fit, seeded
from .pictures import crops, photograph, shown
from .study import Finding, Findings, Part, Settings, Table, progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS: tuple[Up, ...] = get_args(Up)
WIDTHS = (12, 24, 24)
WINDOW = 8  # side of the windows in which a chequerboard is looked for
DRAWS = 32  # of random weights

PAGE = (
    Part(
        "Transposed convolution in one dimension",
        """A convolution gathers: each output is the sum of a window's numbers, each times the kernel's. A transposed
        convolution scatters: each input stamps the whole kernel, times itself, onto the output, `stride` places further
        on for the next one, and where stamps overlap they add up. As matrices one is the other's transpose, hence the
        name; it undoes nothing, though it is also called deconvolution.""",
        {
            "one": "Above: a convolution with stride 1. Below: a transposed one with stride 2; each row is the stamp "
            "of "
            "one input, the last row their sum. (After Fleuret, The Little Book of Deep Learning, figure 4.1.)"
        },
        ("one",),
    ),
    Part(
        "In two dimensions",
        """With a kernel of 3 and a stride of 2 an output gets one, two or four stamps, by turns. So even from equal
        inputs and an even kernel comes a chequerboard, unless the weights make up for it.""",
        {"two": "Nine inputs, the kernel, the stamp of the middle one, how many stamps each output gets, the output."},
        ("two",),
    ),
    Part(
        "Other ways up",
        """Unpooling puts each number back where the encoder's maximum was found and leaves zeros around it. Nearest
        (or bilinear) enlargement repeats numbers, and a convolution follows. Sub-pixel convolution computes four
        channels and lays them side by side as the four pixels of each 2x2.""",
        {"others": "A matrix pooled; unpooled with its indices; enlarged by repeating; and four channels laid out."},
    ),
    Part(
        "The chequerboard, measured",
        f"""A network that halves the size with a stride of 2 can leave a pattern of period 2. In each window of
        {WINDOW}x{WINDOW} the pixels are sorted into four classes: even and odd rows and columns. How much of the
        window's variance is that of the four classes' means? This share is the energy at the stride's frequencies. It
        is taken of what a layer with random weights makes of smooth input, and of what a small encoder-decoder,
        trained to give crops of the picture back, makes of it. The picture itself has some, too: fine texture is at
        these frequencies.""",
        {
            "random": "Smooth features sent up by layers with random weights.",
            "trained": "A part of the picture, and what each small network, trained, gives back.",
            "shares": "The share of the chequerboard for each way up.",
        },
        ("random", "trained"),
        ("shares",),
    ),
)


def run(settings: Settings) -> Findings:
    """Measure everything on the page."""
    findings = Findings()
    with torch.no_grad():
        _one_dimension(findings)
        _two_dimensions(findings)
        _others(findings)
        _random(findings, settings)
    _trained(findings, settings)
    return findings


def chequer(x: Tensor) -> float:
    """The share of a chequerboard of period 2 in the variance of small windows, 0 to 1.

    Args:
        x: (B, C, H, W), H and W at least WINDOW.

    Returns:
        The variance of the means of the four classes of pixels (even and odd rows and columns) over that of all
        pixels, both summed over windows: by Parseval the energy at the frequencies (1/2, 0), (0, 1/2), (1/2, 1/2).
    """
    height, width = (n - n % WINDOW for n in x.shape[-2:])
    windows = F.unfold(x[..., :height, :width].reshape(-1, 1, height, width), WINDOW, stride=WINDOW)
    windows = windows.transpose(1, 2).reshape(-1, WINDOW // 2, 2, WINDOW // 2, 2)
    classes = windows.mean((1, 3)).flatten(1)
    total = windows.flatten(1).var(1, correction=0).sum()
    return float(classes.var(1, correction=0).sum() / total.clamp_min(1e-12))


def _one_dimension(findings: Findings) -> None:
    x, kernel = torch.tensor([1.0, 2.0, 0.0, 3.0]), torch.tensor([1.0, 2.0, -1.0])
    stamps = np.full((4, 9), np.nan)
    for place, value in enumerate(x):
        stamps[place, 2 * place : 2 * place + 3] = value * kernel
    up = F.conv_transpose1d(x[None, None], kernel[None, None], stride=2)[0, 0]
    longer = torch.tensor([1.0, 2.0, 0.0, 3.0, 1.0, -1.0])
    down = F.conv1d(longer[None, None], kernel[None, None])[0, 0]
    findings.arrays |= {"x": x.numpy(), "k": kernel.numpy(), "stamps": stamps, "up": up.numpy()}
    findings.arrays |= {"longer": longer.numpy(), "down": down.numpy()}
    matrix = F.conv1d(torch.eye(9)[:, None], kernel[None, None], stride=2)[:, 0]  # (9, 4): a strided convolution's
    difference = float((matrix @ x - up).abs().max())
    findings.sentences["one"] = Finding(
        f"{len(x)} numbers become ({len(x)} - 1)·2 + 3 = {len(up)}. The same comes out of the transposed matrix of the "
        f"strided convolution that turns {len(up)} numbers into {len(x)} (difference {difference:g}).",
        {"inputs": len(x), "outputs": len(up), "difference": difference},
    )


def _two_dimensions(findings: Findings) -> None:
    x = torch.tensor([[1.0, 2.0, 1.0], [0.0, 1.0, 2.0], [1.0, 0.0, 1.0]])
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]])
    middle = torch.zeros(3, 3)
    middle[1, 1] = x[1, 1]

    def up(values: Tensor, weights: Tensor) -> np.ndarray:
        result: np.ndarray = F.conv_transpose2d(values[None, None], weights[None, None], stride=2)[0, 0].numpy()
        return result

    stamp = up(middle, kernel)
    stamp[up(middle.sign(), torch.ones(3, 3)) == 0] = np.nan
    count = up(torch.ones(3, 3), torch.ones(3, 3))
    findings.arrays |= {"input": x.numpy(), "kernel": kernel.numpy(), "stamp": stamp, "count": count}
    findings.arrays["output"] = up(x, kernel)
    inner = count[1:-1, 1:-1]
    findings.sentences["two"] = Finding(
        f"Away from the border an output is the sum of {inner.min():.0f} to {inner.max():.0f} stamps.",
        {"least": float(inner.min()), "most": float(inner.max())},
    )


def _others(findings: Findings) -> None:
    x = torch.tensor([[1.0, 3.0, 0.0, 2.0], [2.0, 0.0, 1.0, 5.0], [4.0, 1.0, 2.0, 0.0], [0.0, 2.0, 1.0, 3.0]])[
        None, None
    ]
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    channels = torch.stack(
        [torch.full((2, 2), float(n)) + torch.tensor([[0.0, 4.0], [8.0, 12.0]]) for n in range(1, 5)]
    )
    findings.arrays |= {
        "before": x[0, 0].numpy(),
        "pooled": pooled[0, 0].numpy(),
        "unpooled": F.max_unpool2d(pooled, indices, [2, 2])[0, 0].numpy(),
        "nearest": F.interpolate(pooled, scale_factor=2)[0, 0].numpy(),
        "shuffled": F.pixel_shuffle(channels[None], 2)[0, 0].numpy(),
    }


def smooth(generator: Generator, channels: int, side: int) -> Tensor:
    """Random features without detail: (1, C, side, side), positive as behind a ReLU."""
    coarse = torch.rand(1, channels, 4, 4, generator=generator)
    return F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True).clamp_min(0)


def _random(findings: Findings, settings: Settings) -> None:
    shares: dict[str, float] = {}
    cases: dict[str, tuple[Up, int]] = {kind: (kind, 2 if kind == "transposed" else 3) for kind in KINDS} | {
        "transposed, kernel 3": ("transposed", 3),
        "transposed, kernel 4": ("transposed", 4),
    }
    for name, (kind, kernel) in cases.items():
        generator, found = Generator().manual_seed(settings.seed), []
        for draw in range(settings.sized(4, DRAWS)):
            x = smooth(generator, 16, 32)
            layer = seeded(settings.seed + draw, partial(_upsample, kind, kernel))
            up = layer(x, _indices(generator) if kind == "unpool" else None)[..., 8:-8, 8:-8]
            found.append(chequer(up))
            if draw == 0:
                findings.arrays[f"random {name}"] = shown(up)
        shares[name] = float(np.mean(found))
    findings.arrays["random shares"] = shares
    worst, best = max(shares, key=lambda k: shares[k]), min(shares, key=lambda k: shares[k])
    findings.sentences["random"] = Finding(
        f"With random weights the share is highest with {worst} ({shares[worst]:.0%}) and lowest with {best} "
        f"({shares[best]:.1%}). Sub-pixel convolution begins with four equal channels here (ICNR): "
        f"{shares['shuffle']:.0%}.",
        {name: share for name, share in shares.items()},
    )


def _upsample(kind: Up, kernel: int) -> Upsample:
    return Upsample(kind, 16, 1, kernel=kernel, bias=False)


def _indices(generator: Generator) -> Tensor:
    """Of a max pooling over noise: where an encoder's maxima may lie."""
    _, indices = F.max_pool2d(torch.rand(1, 1, 64, 64, generator=generator), 2, return_indices=True)
    return indices


def _trained(findings: Findings, settings: Settings) -> None:
    picture = photograph(settings.picture, settings.sized(64, 256), multiple=4)[None]
    plan = settings.sized(Plan(6, 4, 3e-3, judged=1), Plan(500, 8, 3e-3, judged=1))
    own = chequer(picture)
    shares: dict[str, float] = {}
    rows: list[tuple[str | float, ...]] = []
    findings.arrays["picture"] = shown(picture)
    for kind in progress(KINDS, "ways up", len(KINDS)):
        layout = Layout(widths=WIDTHS, blocks=1, down="max", up=kind)
        net = seeded(settings.seed, partial(EncoderDecoder, 3, 3, layout))

        def batch(n: int, generator: Generator) -> tuple[Tensor, Tensor]:
            x = crops(picture[0], n, 48, generator)
            return x, x

        net, _ = fit(net, batch, F.l1_loss, plan, settings, kind)
        with torch.no_grad():
            given = net(picture)
        shares[kind] = chequer(given)
        findings.arrays[f"trained {kind}"] = shown(given)
        random = findings.arrays["random shares"][kind]
        rows.append((kind, round(100 * random, 2), round(100 * shares[kind], 2), round(psnr(given, picture), 2)))
    rows.append(("the picture", "", round(100 * own, 2), ""))
    header = ("up", "random weights, %", "trained, %", "PSNR of the trained, dB")
    findings.tables["shares"] = Table(header, rows)
    findings.arrays |= {"shares": shares, "own": own}
    worst, best = max(shares, key=lambda k: shares[k]), min(shares, key=lambda k: shares[k])
    findings.sentences["trained"] = Finding(
        f"Trained for {plan.steps} steps, what comes out has a share of {shares[worst]:.1%} with {worst} and "
        f"{shares[best]:.1%} with {best}; the picture itself has {own:.1%}.",
        {**shares, "picture": own},
    )


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    return {
        "one": _draw_one(findings.arrays),
        "two": _draw_two(findings.arrays),
        "others": _draw_others(findings.arrays),
        "random": _draw_random(findings.arrays),
        "trained": _draw_trained(findings.arrays),
        "shares": _draw_shares(findings.arrays),
    }


def _draw_one(arrays: dict[str, Any]) -> Figure:
    from .drawing import bare, frame, numbers, panels

    whole, axes = panels(5, 1, 6.0, heights=(1, 1, 1, 1, 5))
    above, kernel, below, x, up = axes[:, 0]
    numbers(above, arrays["longer"][None], "convolution: input", "Blues")
    frame(above, 0, 1, 1, 3)
    numbers(kernel, arrays["k"][None], "kernel, of both", "Oranges")
    numbers(below, arrays["down"][None], "output: each the sum of three products", "Greens")
    frame(below, 0, 1, 1, 1)
    numbers(x, arrays["x"][None], "transposed convolution, stride 2: input", "Blues")
    rows = np.concatenate([arrays["stamps"], arrays["up"][None]])
    numbers(up, rows, "the stamps, and below their sum", "Greens")
    frame(up, 4, 0, 1, 9)
    for ax in axes[:, 0]:
        ax.set_anchor("W")
        # Over the middle of few numbers, a long title would begin beyond the figure's edge.
        ax.set_title(ax.get_title(), loc="left", fontsize=9)
        bare(ax)
    return whole


def _draw_two(arrays: dict[str, Any]) -> Figure:
    from .drawing import bare, frame, numbers, panels

    whole, axes = panels(2, 3, 3.8)
    numbers(axes[0, 0], arrays["input"], "input")
    frame(axes[0, 0], 1, 1, 1, 1)
    numbers(axes[0, 1], arrays["kernel"], "kernel", "Oranges")
    numbers(axes[0, 2], arrays["stamp"], "stamp of the middle", "Greens")
    numbers(axes[1, 0], arrays["count"], "stamps on each output", "Purples")
    numbers(axes[1, 1], arrays["output"], "output", "Greens")
    frame(axes[1, 1], 2, 2, 3, 3)
    bare(axes[1, 2])
    return whole


def _draw_others(arrays: dict[str, Any]) -> Figure:
    from .drawing import bare, numbers, panels

    whole, axes = panels(2, 3, 3.8)
    cases = (("before", "before"), ("pooled", "max pooling"), ("unpooled", "unpooled"), ("nearest", "nearest"))
    for ax, (name, title) in zip(axes.flat, cases, strict=False):
        numbers(ax, arrays[name], title, "Blues" if name == "before" else "Greens")
    numbers(axes[1, 1], arrays["shuffled"], "four channels, laid out", "Purples")
    bare(axes[1, 2])
    return whole


def _draw_random(arrays: dict[str, Any]) -> Figure:
    from .drawing import bare, image, panels

    names = list(arrays["random shares"])
    whole, axes = panels(2, 4, 3.0)
    for ax in axes.flat:
        bare(ax)
    for ax, name in zip(axes.flat, names, strict=False):
        image(ax, arrays[f"random {name}"], name.replace("transposed, ", "transp., "))
    return whole


def _draw_trained(arrays: dict[str, Any]) -> Figure:
    from .drawing import image, panels

    whole, axes = panels(2, 3, 3.9)
    height, width = arrays["picture"].shape[:2]
    part = slice(height // 4, height // 4 + min(64, height // 2)), slice(width // 4, width // 4 + min(64, width // 2))
    image(axes[0, 0], arrays["picture"][part], "picture")
    for ax, kind in zip(axes.flat[1:], KINDS, strict=True):
        image(ax, arrays[f"trained {kind}"][part], kind)
    return whole


def _draw_shares(arrays: dict[str, Any]) -> Figure:
    from .drawing import BLUE, ORANGE, RED, panels

    whole, axes = panels(1, 1, 2.6)
    ax, places = axes[0, 0], np.arange(len(KINDS))
    ax.bar(places - 0.2, [100 * arrays["random shares"][k] for k in KINDS], 0.4, color=ORANGE, label="random weights")
    ax.bar(places + 0.2, [100 * arrays["shares"][k] for k in KINDS], 0.4, color=BLUE, label="trained")
    ax.axhline(100 * arrays["own"], color=RED, linestyle="--", linewidth=1, label="the picture itself")
    ax.set_xticks(places, KINDS)
    ax.set_yscale("log")
    ax.set_ylabel("share of the chequerboard, %", fontsize=9)
    ax.legend(fontsize=8, frameon=False)
    return whole
