"""Loss landscapes around trained networks with and without skips, and their sharpness as numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..core.blocks import Skip
from ..core.encoder_decoder import EncoderDecoder, Layout
from .data import cifar
from .denoising import noisy_crops
from .fitting import Plan, classify, fit, seeded
from .networks import Classifier
from .pictures import grey, photographs
from .study import Finding, Findings, Part, Settings, Table, progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLOCKS = 3  # of the classifiers: 20 layers
SKIPS: tuple[Skip, ...] = ("none", "add", "concat")
RADIUS = 0.5
Directions = dict[str, Tensor]

PAGE = (
    Part(
        "Around a trained network",
        """All weights of a network together are one point in a space of many thousand dimensions; the loss is a height
        over it. Training has led to some low point. To see its surroundings two random directions are drawn and the
        loss is taken at each point of the plane that they span. The directions are filter-normalised (Li 2018): each
        filter's part of a direction is as long as the filter itself, so that 0.5 means: every filter changed by half
        its own length, whatever its scale. Skips are said to make these landscapes smooth.""",
        {
            "contours": "Contours of the loss over the plane; 0, 0 is the trained network. Left without skips, right "
            "with.",
            "surface": "The same as surfaces, all to one scale.",
        },
        ("classifiers",),
    ),
    Part(
        "The same for a denoising U-Net",
        """Three U-Nets of one layout, but for how the encoder's features join the decoder's: not at all, added, or
        laid side by side. (Laid side by side they have more weights in the decoder.)""",
        {"unets": "Contours for skip none, add and concat, in units of each one's loss at the centre."},
        ("unets",),
    ),
    Part(
        "Sharpness as numbers",
        f"""First, the largest loss at distance {RADIUS} along random filter-normalised directions. Second, the
        curvature: the largest eigenvalue of the Hessian, by power iteration on Hessian-vector products. It is in the
        weights' own units and changes when weights are rescaled, so it should be compared with care.""",
        tables=("sharpness",),
        sentences=("sharpness",),
    ),
)


def run(settings: Settings) -> Findings:
    """Train five networks and look around them."""
    findings = Findings()
    networks = _classifiers(settings) | _unets(settings)
    rows: list[tuple[str | float, ...]] = []
    grid = settings.sized(3, 13)
    for name, (model, loss) in progress(networks.items(), "landscapes", len(networks)):
        start = loss_at(model, loss, [])
        plane = surface(model, loss, grid, settings.seed)
        worst = steepest(model, loss, settings.sized(2, 12), settings.seed)
        curvature = largest_eigenvalue(model, loss, settings.sized(2, 15), settings.seed)
        findings.arrays[name] = plane
        rows.append((name, *(round(value, 4) for value in (start, worst, worst / start, curvature))))
    findings.arrays |= {"grid": np.linspace(-1, 1, grid), "names": list(networks)}
    header = ("network", "loss", f"largest loss at {RADIUS}", "times the loss", "largest eigenvalue")
    findings.tables["sharpness"] = Table(header, rows)
    _sentences(findings, {str(row[0]): row for row in rows})
    return findings


def _classifiers(settings: Settings) -> dict[str, tuple[nn.Module, Callable[[nn.Module], Tensor]]]:
    data = cifar(settings)
    data = data.first(*settings.sized((200, 100), (len(data.train), 1000)))
    plan = settings.sized(Plan(6, 16, 3e-3, judged=1), Plan(1200, 64, 3e-3, judged=2))
    pictures, labels = data.train[: settings.sized(32, 512)], data.train_labels[: settings.sized(32, 512)]

    def loss(model: nn.Module) -> Tensor:
        return F.cross_entropy(model(pictures), labels)

    found: dict[str, tuple[nn.Module, Callable[[nn.Module], Tensor]]] = {}
    blocks, width = settings.sized((1, 4), (BLOCKS, 8))
    for residual in (False, True):
        name = f"{'residual' if residual else 'plain'}, {6 * blocks + 2} layers"
        model = seeded(settings.seed, partial(Classifier, blocks, residual, width))
        found[name] = classify(model, data, plan, settings, name, 2, True)[0], loss
    return found


class Unet(nn.Module):
    """A small U-Net that predicts the noise of grey pictures and subtracts it."""

    def __init__(self, skip: Skip) -> None:
        super().__init__()
        self.noise = EncoderDecoder(1, 1, Layout(widths=(12, 24, 32), blocks=1, skip=skip))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.noise(x)


def _unets(settings: Settings) -> dict[str, tuple[nn.Module, Callable[[nn.Module], Tensor]]]:
    learn_from = [grey(p) for p in photographs(settings.sized(96, 256))]
    plan = settings.sized(Plan(4, 4, 2e-3, judged=1), Plan(800, 16, 2e-3, judged=1))

    batch = partial(noisy_crops, learn_from, 48)
    noisy, clean = batch(settings.sized(4, 32), Generator().manual_seed(settings.seed + 1))

    def loss(model: nn.Module) -> Tensor:
        return F.mse_loss(model(noisy), clean)

    found: dict[str, tuple[nn.Module, Callable[[nn.Module], Tensor]]] = {}
    for skip in SKIPS:
        model, _ = fit(seeded(settings.seed, partial(Unet, skip)), batch, F.mse_loss, plan, settings, f"skip {skip}")
        found[f"U-Net, skip {skip}"] = model, loss
    return found


def filter_normalised(model: nn.Module, generator: Generator) -> Directions:
    """A random direction, each filter's part as long as the filter; biases and batch norms stay (Li 2018)."""
    direction = {}
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim < 2:
            direction[name] = torch.zeros_like(drawn)
            continue
        rows, own = drawn.flatten(1), parameter.detach().flatten(1)
        scale = own.norm(dim=1, keepdim=True) / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
        direction[name] = (rows * scale).view_as(drawn)
    return direction


@torch.no_grad()
def loss_at(model: nn.Module, loss: Callable[[nn.Module], Tensor], steps: list[tuple[float, Directions]]) -> float:
    """The loss at the trained weights plus so much of some directions; the weights are put back."""
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    try:
        for name, parameter in model.named_parameters():
            for distance, direction in steps:
                parameter.add_(distance * direction[name])
        return float(loss(model))
    finally:
        for name, parameter in model.named_parameters():
            parameter.copy_(before[name])


def surface(model: nn.Module, loss: Callable[[nn.Module], Tensor], grid: int, seed: int) -> np.ndarray:
    """The loss over a plane of two random filter-normalised directions, from -1 to 1 each: (grid, grid)."""
    generator = Generator().manual_seed(seed)
    first, second = (filter_normalised(model, generator) for _ in range(2))
    places = np.linspace(-1, 1, grid)
    return np.array([[loss_at(model, loss, [(x, first), (y, second)]) for x in places] for y in places])


def steepest(model: nn.Module, loss: Callable[[nn.Module], Tensor], draws: int, seed: int) -> float:
    """The largest loss at RADIUS, along random filter-normalised directions."""
    generator = Generator().manual_seed(seed + 1)
    return max(loss_at(model, loss, [(RADIUS, filter_normalised(model, generator))]) for _ in range(draws))


def largest_eigenvalue(model: nn.Module, loss: Callable[[nn.Module], Tensor], rounds: int, seed: int) -> float:
    """The Hessian's eigenvalue of largest magnitude, by power iteration (Rayleigh quotient of the last round)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    slopes = torch.autograd.grad(loss(model), parameters, create_graph=True)
    generator = Generator().manual_seed(seed)
    vector = [torch.randn(p.shape, generator=generator) for p in parameters]
    value = 0.0
    for _ in range(rounds):
        length = torch.stack([v.square().sum() for v in vector]).sum().sqrt().clamp_min(1e-20)
        vector = [v / length for v in vector]
        along = torch.stack([(s * v).sum() for s, v in zip(slopes, vector, strict=True)]).sum()
        product = torch.autograd.grad(along, parameters, retain_graph=True, allow_unused=True)
        image = [torch.zeros_like(p) if h is None else h for h, p in zip(product, parameters, strict=True)]
        value = float(torch.stack([(v * h).sum() for v, h in zip(vector, image, strict=True)]).sum())
        vector = image
    return value


def _sentences(findings: Findings, rows: dict[str, tuple[str | float, ...]]) -> None:
    plain, residual = (row for name, row in rows.items() if not name.startswith("U-Net"))
    findings.sentences["classifiers"] = Finding(
        f"At distance {RADIUS} the loss is at most {float(plain[2]):.2f} around the plain network (at its centre "
        f"{float(plain[1]):.2f}) and {float(residual[2]):.2f} around the residual one (at its centre "
        f"{float(residual[1]):.2f}).",
        {"plain": float(plain[2]), "residual": float(residual[2])},
        float(residual[2]) < float(plain[2]),
    )
    times: dict[str, float] = {skip: float(rows[f"U-Net, skip {skip}"][3]) for skip in SKIPS}
    words = ", ".join(f"{value:.1f} with skip {skip}" for skip, value in times.items())
    findings.sentences["unets"] = Finding(
        f"The loss at distance {RADIUS} is at most so many times that at the centre: {words}.", times
    )
    eigen = {name: float(row[4]) for name, row in rows.items()}
    findings.sentences["sharpness"] = Finding(
        "Largest eigenvalues: " + "; ".join(f"{name} {value:.3g}" for name, value in eigen.items()) + ".", eigen
    )


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    arrays = findings.arrays
    classifiers = [name for name in arrays["names"] if not name.startswith("U-Net")]
    unets = [name for name in arrays["names"] if name.startswith("U-Net")]
    return {
        "contours": _contours(arrays, classifiers, 2.9, 1.0),
        "surface": _surfaces(arrays, classifiers),
        "unets": _contours(arrays, unets, 2.2, None),
    }


def _contours(arrays: dict[str, Any], names: list[str], height: float, unit: float | None) -> Figure:
    from .drawing import panels

    whole, axes = panels(1, len(names), height)
    scaled = {name: arrays[name] / (unit or arrays[name].min()) for name in names}
    finite = np.concatenate([values[np.isfinite(values)] for values in scaled.values()])
    levels = np.geomspace(max(finite.min(), 1e-3), max(np.quantile(finite, 0.95), finite.min() * 1.1 + 1e-3), 12)
    for ax, name in zip(axes[0], names, strict=True):
        drawn = ax.contour(arrays["grid"], arrays["grid"], scaled[name], levels=levels, cmap="viridis", linewidths=1)
        ax.clabel(drawn, levels[::3], fontsize=6, fmt="%.2g")
        ax.plot(0, 0, "r+")
        ax.set_aspect("equal")
        ax.set_title(name.removeprefix("U-Net, "), fontsize=9)
    return whole


def _surfaces(arrays: dict[str, Any], names: list[str]) -> Figure:
    from .drawing import figure

    whole = figure(2.9)
    x, y = np.meshgrid(arrays["grid"], arrays["grid"])
    top = float(np.quantile(np.concatenate([arrays[name].ravel() for name in names]), 0.95))
    for n, name in enumerate(names, 1):
        ax: Any = whole.add_subplot(1, len(names), n, projection="3d")
        ax.plot_surface(x, y, np.minimum(arrays[name], top), cmap="viridis", vmin=0, vmax=top, linewidth=0)
        ax.set_zlim(0, top)
        ax.tick_params(labelsize=6)
        ax.set_title(name, fontsize=9)
    return whole
