"""The feature spaces of a trained network: maps, what each layer still knows, neighbours, Gram matrices."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..metrics import psnr
from .fitting import Plan, fit
from .pictures import photograph, shown
from .shipped import network
from .study import Finding, Findings, Part, Settings, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEIGHTS = "vgg-slim"
SHOWN = 6  # maps of a layer
NEIGHBOURS = 4
PATCH = 24  # side of the patches shown, pixels

PAGE = (
    Part(
        "Activation maps",
        f"""`{WEIGHTS}` is the small descriptor that this suite makes textures with, taught to give what VGG-19 gives at
        five layers. Of each layer the maps that vary most are shown. The deeper the layer, the coarser its maps, and
        the larger what they answer to: from edges to parts of a face.""",
        {"maps": "The picture, and six maps of each of the five layers."},
        ("maps",),
        ("layers",),
    ),
    Part(
        "What each layer still knows",
        """Begin with grey noise and change it, by gradient descent, until a layer gives the same features as for the
        picture (Mahendran and Vedaldi 2015), with a little cost on roughness. What comes back is what the layer has
        kept; what comes back wrong is what it is blind to. From the first layer the picture itself returns; deeper
        down what stands where remains, and exact colours and places are lost.""",
        {"inverted": "The picture, and what is found from each layer's features."},
        ("inverted",),
    ),
    Part(
        "Nearest neighbours of patches",
        """Two places are alike for a layer if their features point the same way. Shallow layers find the same colour
        and slope; deep ones find the same kind of thing.""",
        {"neighbours": "The place asked for (red frame), and the places most like it for each layer."},
        ("neighbours",),
    ),
    Part(
        "Gram matrices",
        """Which channels are active together, summed over all places, is a texture's signature (Gatys 2015). Places
        are forgotten: the shifted picture has nearly the same Gram matrices. Its pixels in random order, which have the
        same colours, do not.""",
        {"grams": "Gram matrices of the first four layers; the channels in the order of their strength."},
        ("grams",),
        ("grams",),
    ),
)


def always(target: Tensor, _n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A batch of a training that has one target and no input."""
    there = target.to(generator.device)
    return there[:1], there


class Pixels(nn.Module):
    """A picture as a parameter, seen by a layer of a frozen descriptor: what is fitted is the picture."""

    def __init__(self, start: Tensor, descriptor: nn.Module, layer: int) -> None:
        super().__init__()
        self.picture = nn.Parameter(start.clone())
        self.layer = layer
        self.descriptor = descriptor  # frozen, so that only the picture is trained

    def forward(self, _: Tensor) -> Tensor:
        features: Tensor = self.descriptor(self.picture, self.layer + 1)[self.layer]
        rough = sum(self.picture.diff(dim=d).square().mean() for d in (-1, -2))
        return torch.cat((features.flatten(), torch.as_tensor(rough).view(1).sqrt()))


def run(settings: Settings) -> Findings:
    """Look at the five layers."""
    findings = Findings()
    descriptor: Any = network(WEIGHTS)
    picture = photograph(settings.picture, settings.sized(48, 160), multiple=16)[None]
    findings.arrays["picture"] = shown(picture)
    with torch.no_grad():
        features = descriptor(picture)
        _maps(findings, descriptor, features)
        _neighbours(findings, descriptor, features, picture)
        _grams(findings, descriptor, picture, settings)
    _invert(findings, descriptor, picture, features, settings)
    return findings


def _maps(findings: Findings, descriptor: Any, features: list[Tensor]) -> None:
    rows: list[tuple[str | float, ...]] = []
    for name, f in zip(descriptor.layers, features, strict=True):
        strongest = f[0].var((1, 2)).topk(SHOWN).indices
        findings.arrays[f"maps {name}"] = f[0, strongest].numpy()
        zero = float((f == 0).float().mean())
        rows.append((name, *f.shape[1:], round(100 * zero, 1)))
    findings.arrays["layers"] = list(descriptor.layers)
    findings.tables["layers"] = Table(("layer", "channels", "height", "width", "zero, %"), rows)
    first, last = float(rows[0][-1]), float(rows[-1][-1])
    findings.sentences["maps"] = Finding(
        f"At {rows[0][0]} {first:.0f} % of the numbers are zero, at {rows[-1][0]} {last:.0f} %.",
        {str(row[0]): float(row[-1]) for row in rows},
    )


def _invert(findings: Findings, descriptor: Any, picture: Tensor, features: list[Tensor], settings: Settings) -> None:
    plan = settings.sized(Plan(3, 1, 0.05, 0.0, judged=1), Plan(250, 1, 0.05, 0.0, judged=1))
    generator = torch.Generator().manual_seed(settings.seed)
    start = 0.5 + 0.1 * torch.randn(picture.shape, generator=generator)
    quality: dict[str, float] = {}
    for layer, (name, wanted) in enumerate(zip(descriptor.layers, features, strict=True)):
        target = torch.cat((wanted.flatten(), torch.zeros(1)))
        scale = float(wanted.square().mean())

        def loss(answer: Tensor, target: Tensor, scale: float = scale) -> Tensor:
            return F.mse_loss(answer[:-1], target[:-1]) / scale + 0.05 * answer[-1].square()

        model = Pixels(start, descriptor, layer)
        model, _ = fit(model, partial(always, target), loss, plan, settings, f"inverting {name}")
        found = model.picture.detach().clamp(0, 1)
        quality[name] = psnr(found, picture)
        findings.arrays[f"inverted {name}"] = shown(found)
    findings.arrays["quality"] = quality
    values = " / ".join(f"{value:.1f}" for value in quality.values())
    findings.sentences["inverted"] = Finding(
        f"PSNR of what is found from {' / '.join(quality)}: {values} dB after {plan.steps} steps.", quality
    )


def place_of(picture: Tensor) -> tuple[int, int]:
    """The patch asked for: where the picture varies most within PATCH pixels, as row and column of its centre."""
    luma = picture.mean(1, keepdim=True)
    mean = F.avg_pool2d(luma, PATCH, 1)
    varied = F.avg_pool2d(luma.square(), PATCH, 1) - mean.square()
    where = int(varied.argmax())
    row, column = divmod(where, varied.shape[-1])
    return row + PATCH // 2, column + PATCH // 2


def _neighbours(findings: Findings, descriptor: Any, features: list[Tensor], picture: Tensor) -> None:
    row, column = place_of(picture)
    findings.arrays["place"] = (row, column)
    alike: dict[str, float] = {}
    for name, f in zip(descriptor.layers, features, strict=True):
        # A whole patch is compared: the features of its places, side by side.
        step = picture.shape[-1] // f.shape[-1]
        size = max(1, PATCH // step)
        smooth = F.avg_pool2d(F.normalize(f, dim=1), size, 1) if size <= min(f.shape[-2:]) else f
        vectors = F.normalize(smooth[0].flatten(1), dim=0)
        grid = smooth.shape[-2:]
        at = [min(max(0, round(p / step - size / 2)), n - 1) for p, n in zip((row, column), grid, strict=True)]
        cosines = (vectors.T @ vectors[:, at[0] * grid[1] + at[1]]).view(grid)
        found = _apart(cosines, at, step, size)
        findings.arrays[f"neighbours {name}"] = [(r, c) for r, c, _ in found]
        if found:
            alike[name] = found[0][2]
    findings.sentences["neighbours"] = Finding(
        "Cosine with the nearest neighbour elsewhere in the picture: "
        + ", ".join(f"{name} {value:.2f}" for name, value in alike.items())
        + ".",
        alike,
    )


def _apart(cosines: Tensor, at: list[int], step: int, size: int) -> list[tuple[int, int, float]]:
    """The places of the highest cosines, at least a patch apart from the place asked for and from one another."""
    left = cosines.clone()
    found: list[tuple[int, int, float]] = []
    reach = max(1, PATCH // step)

    def blank(r: int, c: int) -> None:
        left[max(0, r - reach) : r + reach + 1, max(0, c - reach) : c + reach + 1] = -2

    blank(*at)
    while len(found) < NEIGHBOURS and float(left.max()) > -2:
        r, c = divmod(int(left.argmax()), left.shape[1])
        found.append((round((r + size / 2) * step), round((c + size / 2) * step), float(left[r, c])))
        blank(r, c)
    return found


def gram(f: Tensor) -> Tensor:
    """Mean products of channels over places, (1, C, H, W) to (C, C)."""
    rows = f[0].flatten(1)
    return rows @ rows.T / rows.shape[1]


def _grams(findings: Findings, descriptor: Any, picture: Tensor, settings: Settings) -> None:
    order = torch.randperm(
        picture.shape[-1] * picture.shape[-2], generator=torch.Generator().manual_seed(settings.seed)
    )
    others = {
        "shifted by half": torch.roll(picture, (picture.shape[-2] // 2, picture.shape[-1] // 2), (-2, -1)),
        "mirrored": picture.flip(-1),
        "pixels shuffled": picture.flatten(2)[..., order].view_as(picture),
    }
    own = [gram(f) for f in descriptor(picture)]
    rows: list[tuple[str | float, ...]] = []
    for name, other in others.items():
        distances = [
            float((gram(f) - g).square().sum() / g.square().sum()) for f, g in zip(descriptor(other), own, strict=True)
        ]
        rows.append((name, *(round(distance, 4) for distance in distances)))
    findings.tables["grams"] = Table(("picture", *descriptor.layers), rows)
    for name, g in zip(descriptor.layers[:4], own[:4], strict=True):
        strongest = g.diagonal().argsort(descending=True)[:32]
        findings.arrays[f"gram {name}"] = g[strongest][:, strongest].numpy()
    shifted, shuffled = float(np.mean([float(x) for x in rows[0][1:]])), float(np.mean([float(x) for x in rows[2][1:]]))
    findings.sentences["grams"] = Finding(
        f"Relative squared distance of Gram matrices, mean over layers: {shifted:.3f} to the shifted picture, "
        f"{shuffled:.2f} to its shuffled pixels.",
        {"shifted": shifted, "shuffled": shuffled},
        shifted < shuffled,
    )


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    arrays = findings.arrays
    return {
        "maps": _draw_maps(arrays),
        "inverted": _draw_inverted(arrays),
        "neighbours": _draw_neighbours(arrays),
        "grams": _draw_grams(arrays),
    }


def _draw_maps(arrays: dict[str, Any]) -> Figure:
    from .drawing import bare, image, panels

    whole, axes = panels(6, SHOWN, 5.0)
    for ax in axes[0]:
        bare(ax)
    image(axes[0, 0], arrays["picture"], "picture")
    for line, name in zip(axes[1:], arrays["layers"], strict=True):
        for n, ax in enumerate(line):
            image(ax, arrays[f"maps {name}"][n], name if n == 0 else "")
    return whole


def _draw_inverted(arrays: dict[str, Any]) -> Figure:
    from .drawing import image, panels

    whole, axes = panels(2, 3, 3.2)
    image(axes[0, 0], arrays["picture"], "picture")
    for ax, name in zip(axes.flat[1:], arrays["layers"], strict=True):
        image(ax, arrays[f"inverted {name}"], f"{name}, {arrays['quality'][name]:.1f} dB")
    return whole


def _patch(picture: np.ndarray, row: int, column: int) -> np.ndarray:
    height, width = picture.shape[:2]
    top = min(max(0, row - PATCH // 2), height - PATCH)
    left = min(max(0, column - PATCH // 2), width - PATCH)
    return picture[top : top + PATCH, left : left + PATCH]


def _draw_neighbours(arrays: dict[str, Any]) -> Figure:
    from .drawing import bare, frame, image, panels

    picture, (row, column) = arrays["picture"], arrays["place"]
    whole, axes = panels(len(arrays["layers"]), NEIGHBOURS + 2, 5.0)
    for ax in axes.flat:
        bare(ax)
    image(axes[0, 0], picture, "picture")
    frame(axes[0, 0], row - PATCH // 2, column - PATCH // 2, PATCH, PATCH)
    for line, name in zip(axes, arrays["layers"], strict=True):
        image(line[1], _patch(picture, row, column), "asked for")
        for n, (r, c) in enumerate(arrays[f"neighbours {name}"]):
            image(line[n + 2], _patch(picture, r, c), name if n == 0 else "")
    return whole


def _draw_grams(arrays: dict[str, Any]) -> Figure:
    from .drawing import image, panels

    whole, axes = panels(1, 4, 1.6)
    for ax, name in zip(axes[0], arrays["layers"][:4], strict=True):
        g = arrays[f"gram {name}"]
        image(ax, np.log1p(100 * g / g.max()), name)
    return whole
