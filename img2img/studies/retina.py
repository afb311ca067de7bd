"""The retina's bottleneck (Lindsey 2019): cells that see a centre against its surround, and behind them edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.blocks import conv
from .data import Labelled, cifar
from .fitting import Plan, classify, seeded
from .study import Finding, Findings, Part, Settings, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KERNEL = 9
FIELD = 2 * KERNEL - 1  # of the retina's output
BOTTLENECKS, VVS_DEPTHS = (1, 2, 4, 32), (0, 1, 2, 3, 4)
LINEAR_RIDGE = 1e-3
LR = 3e-4  # at 6e-4 the one channel of a bottleneck may die within some steps: nothing comes through any more

PAGE = (
    Part(
        "A network with an optic nerve",
        """The retina of mammals has a hundred times more receptors than the optic nerve has fibres. Lindsey and others
        (ICLR 2019, arXiv:1901.00945) asked whether that alone explains what its cells look like. They trained a
        network to name grey CIFAR-10 pictures: a retina of two convolutions, whose second has only N channels (the
        nerve), then a visual system (VVS) of D convolutions and two fully connected layers. Here the same is trained,
        by default two networks: one with a bottleneck of one channel, one without. Pictures are in [0, 1] and the first
        weights Glorot's, as in the authors' programs: of pictures centred about zero the common brightness is gone
        before the retina could take it away.""",
        {"fields": "Receptive fields: of the retina's output, and of the first layer behind it."},
        ("accuracy",),
        ("networks",),
    ),
    Part(
        "Centre-surround and orientation as numbers",
        """A receptive field is the gradient of a cell's input (before its ReLU) with respect to the picture, at mid
        grey with a little noise, averaged. Two numbers are taken of it. Centre-surround: the share of its energy that
        depends on the distance from the middle alone, times how well plus and minus balance in that part (the smaller
        of the two sums over the larger). It is 1 for a Mexican hat and 0 for a blob or an edge. Orientation: the
        length of the mean of exp(2iθ) over the power spectrum, 1 minus the circular variance (Ringach 2002). It is 0
        for what looks alike in all directions and near 1 for a grating. Each is the mean over a layer's cells, weighed
        by the fields' energy.""",
        {},
        (),
        ("indices",),
    ),
    Part(
        "How linear the retina is",
        f"""A linear model predicts the retina's output from the {FIELD}x{FIELD} pixels that it sees, by least squares;
        what share of its variance over other pictures is left unexplained? The paper finds that a shallow visual
        system makes the retina less linear, for then it has to do more of the work itself.""",
        {"linearity": "Unexplained variance of the retina's output against the depth behind it."},
    ),
    Part(
        "The paper's claims",
        "What the paper says, what was measured here, and whether it holds.",
        {},
        ("centre", "behind", "without", "nonlinear"),
        ("claims",),
    ),
)


class RetinaNet(nn.Module):
    """A retina of two convolutions with a bottleneck, a visual system of so many more, and a classifier.

    Args:
        bottleneck: channels at the retina's output, N_BN.
        depth: convolutions of the visual system, D_VVS.
        width: channels of all other convolutions (paper: 32).
        hidden: units of the fully connected layer (paper: 1024).
        side: of the pictures, in pixels.

    Shape:
        x: (B, 1, 32, 32) in [0, 1]; returns (B, 10), the logits.

    References: Lindsey et al. 2019, arXiv:1901.00945, section 2.
    """

    def __init__(self, bottleneck: int, depth: int, width: int = 32, hidden: int = 1024, side: int = 32) -> None:
        super().__init__()
        self.retina = nn.ModuleList([layer(1, width), layer(width, bottleneck)])
        self.vvs = nn.ModuleList([layer(bottleneck if i == 0 else width, width) for i in range(depth)])
        last = width if depth else bottleneck
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(last * side**2, hidden), nn.ReLU(), nn.Linear(hidden, 10))
        self.apply(glorot)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.reach(x, len(self.retina) + len(self.vvs)))

    def reach(self, x: Tensor, layers: int) -> Tensor:
        """What so many convolutions, from the retina's first on, give, rectified."""
        for each in (*self.retina, *self.vvs)[:layers]:
            x = torch.relu(each(x))
        return x

    def before_relu(self, x: Tensor, number: int) -> Tensor:
        """What the convolution of that number, 0 the first, gives before its ReLU."""
        return (*self.retina, *self.vvs)[number](self.reach(x, number))


def layer(c_in: int, c_out: int) -> nn.Conv2d:
    """A convolution of 9x9 that keeps the size."""
    return conv(c_in, c_out, KERNEL)


def glorot(part: nn.Module) -> None:
    """Set weights to what Keras begins with, and biases to zero (Glorot & Bengio 2010, equation 16)."""
    if isinstance(part, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(part.weight)
        assert part.bias is not None
        nn.init.zeros_(part.bias)


@dataclass(frozen=True, eq=False)
class Measured:
    """One network.

    Args:
        bottleneck: N_BN.
        depth: D_VVS.
        accuracy: on test pictures.
        centre: mean centre-surround index of the retina's output.
        oriented: mean orientation index of the retina's output.
        behind: mean orientation index of the first layer behind it; nan without one.
        nonlinear: unexplained variance of the retina's output.
        fields: receptive fields of both layers (N, H, W).
    """

    bottleneck: int
    depth: int
    accuracy: float
    centre: float
    oriented: float
    behind: float
    nonlinear: float
    fields: tuple[np.ndarray, np.ndarray]


def run(settings: Settings) -> Findings:
    """Train and measure: two networks, or with `thorough` the paper's grid."""
    data = cifar(settings)
    data = data.first(*settings.sized((200, 100), (len(data.train), 2000)))
    width = settings.sized(4, 32 if settings.thorough else 16)
    grid = [(n, d) for n in BOTTLENECKS for d in VVS_DEPTHS] if settings.thorough else [(1, 2), (width, 2)]
    if settings.quick:
        grid = [(1, 0), (1, 1), (width, 1)]
    plan = settings.sized(
        Plan(4, 16, LR, judged=1), Plan(2000, 32, LR, judged=4, precision="auto" if settings.thorough else "fp32")
    )
    found = [_one(data, n, d, width, plan, settings) for n, d in grid]
    findings = Findings()
    findings.arrays["found"] = found
    _tables(findings, found, width)
    _claims(findings, found, width)
    return findings


def _one(data: Labelled, bottleneck: int, depth: int, width: int, plan: Plan, settings: Settings) -> Measured:
    hidden = settings.sized(16, 256)  # of the paper's 1024: at that size this layer alone takes most of the time
    net = seeded(settings.seed, partial(RetinaNet, bottleneck, depth, width, hidden))
    net, curve = classify(net, data, plan, settings, f"N {bottleneck}, D {depth}", shift=2, mirror=True)
    out = len(net.retina) - 1
    own = receptive_fields(net, out, settings.seed)
    later = receptive_fields(net, out + 1, settings.seed) if depth else np.zeros((0, FIELD, FIELD))
    return Measured(
        bottleneck,
        depth,
        curve.scores[-1],
        weighed(own, centre_surround),
        weighed(own, orientation),
        weighed(later, orientation) if depth else float("nan"),
        unexplained(net, data.test[: settings.sized(40, 400)], settings.seed),
        (own, later),
    )


def receptive_fields(net: RetinaNet, number: int, seed: int, pictures: int = 16) -> np.ndarray:
    """The mean gradient of each channel's middle cell, before its ReLU, at grey with a little noise: (C, F, F)."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.5 + 0.05 * torch.randn(pictures, 1, 32, 32, generator=generator)
    x.requires_grad_()
    answer = net.before_relu(x, number)[:, :, 16, 16].sum(0)
    fields = [torch.autograd.grad(cell, x, retain_graph=True)[0].mean(0)[0] for cell in answer]
    reach = min(15, (KERNEL - 1) * (number + 1) // 2)
    cut = slice(16 - reach, 16 + reach + 1)
    return torch.stack(fields)[:, cut, cut].numpy()


def weighed(fields: np.ndarray, index: Any) -> float:
    """The mean of an index over fields, each weighed by its energy."""
    energy = np.square(fields).sum((1, 2))
    values = np.array([index(field) for field in fields])
    return float((values * energy).sum() / max(float(energy.sum()), 1e-30))


def centre_surround(field: np.ndarray) -> float:
    """How much a field is a centre against its surround, 0 to 1; as the page defines it."""
    middle = field.shape[0] // 2
    y, x = np.indices(field.shape) - middle
    ring = np.rint(np.hypot(y, x)).astype(int)
    sums, counts = np.bincount(ring.ravel(), field.ravel()), np.bincount(ring.ravel())
    radial = (sums / counts)[ring]
    energy = float(np.square(field).sum())
    if energy == 0:
        return 0.0
    plus, minus = float(radial[radial > 0].sum()), float(-radial[radial < 0].sum())
    balance = min(plus, minus) / max(plus, minus, 1e-30)
    return float(np.square(radial).sum()) / energy * balance


def orientation(field: np.ndarray) -> float:
    """How much a field has one orientation, 0 to 1: 1 minus the circular variance over its power spectrum."""
    power = np.square(np.abs(np.fft.fft2(field, (64, 64))))
    v, u = np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64), indexing="ij")
    inside = (np.hypot(u, v) > 0) & (np.hypot(u, v) < 0.5)
    total = float(power[inside].sum())
    return float(np.abs((power * np.exp(2j * np.arctan2(v, u)))[inside].sum()) / total) if total else 0.0


@torch.no_grad()
def unexplained(net: RetinaNet, pictures: Tensor, seed: int, places: int = 24) -> float:
    """The share of the variance of the retina's output that no linear model of what it sees explains.

    The model is fitted on one half of the pictures and judged on the other, at random places away from the border.
    """
    reach, side = FIELD // 2, pictures.shape[-1]
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.randint(reach, side - reach, (2, places), generator=generator)
    output = net.reach(pictures, len(net.retina))[:, :, rows, columns]  # (N, C, places)
    windows = pictures.unfold(2, FIELD, 1).unfold(3, FIELD, 1)[:, 0, rows - reach, columns - reach]
    half = len(pictures) // 2
    x = [part.reshape(-1, FIELD**2).double() for part in (windows[:half], windows[half:])]
    y = [part.transpose(1, 2).reshape(-1, output.shape[1]).double() for part in (output[:half], output[half:])]
    centre, target = x[0].mean(0), y[0].mean(0)
    a = x[0] - centre
    products = a.T @ a
    ridge = LINEAR_RIDGE * products.diagonal().mean() * torch.eye(FIELD**2, dtype=torch.float64)
    weights = torch.linalg.solve(products + ridge, a.T @ (y[0] - target))
    left = y[1] - target - (x[1] - centre) @ weights
    return float((left.square().sum() / (y[1] - y[1].mean(0)).square().sum().clamp_min(1e-12)).clamp(0, 1))


def _tables(findings: Findings, found: Sequence[Measured], width: int) -> None:
    rows = [(f"{m.bottleneck}", f"{m.depth}", round(100 * m.accuracy, 1)) for m in found]
    findings.tables["networks"] = Table(("N_BN", "D_VVS", "accuracy, %"), rows)
    indices = [
        (f"{m.bottleneck}", f"{m.depth}", *(number(v) for v in (m.centre, m.oriented, m.behind, m.nonlinear)))
        for m in found
    ]
    header = ("N_BN", "D_VVS", "centre-surround, retina", "orientation, retina", "orientation behind", "unexplained")
    findings.tables["indices"] = Table(header, indices)
    by_accuracy = sorted(found, key=lambda m: m.accuracy)
    named = found if len(found) < 4 else (by_accuracy[0], by_accuracy[-1])  # of a grid the least and the most
    values = (", " if named is found else " to ").join(
        f"{m.accuracy:.1%} with N {m.bottleneck}, D {m.depth}" for m in named
    )
    findings.sentences["accuracy"] = Finding(
        f"Accuracy on test pictures: {values}. All other convolutions have {width} channels.",
        {f"N{m.bottleneck}_D{m.depth}": m.accuracy for m in found},
    )


def number(value: float) -> str | float:
    """Three figures; a dash for what is not there."""
    return "-" if np.isnan(value) else round(value, 3)


def _claims(findings: Findings, found: Sequence[Measured], width: int) -> None:
    rows: list[tuple[str, str, str]] = []

    def claim(name: str, words: str, measured: str, numbers: dict[str, float], holds: bool) -> None:
        findings.sentences[name] = Finding(measured, numbers, holds)
        rows.append((words, measured, "holds" if holds else "does not hold"))

    narrow = [m for m in found if m.bottleneck == 1 and m.depth]
    wide = [m for m in found if m.bottleneck == max(BOTTLENECKS[-1] if width == 32 else width, 2) and m.depth]
    if narrow and wide:
        tight, loose = (float(np.mean([m.centre for m in group])) for group in (narrow, wide))
        claim(
            "centre",
            "A bottleneck makes the retina's cells centre-surround",
            f"Centre-surround index of the retina's output: {tight:.2f} with one channel, {loose:.2f} without a "
            f"bottleneck.",
            {"bottleneck": tight, "none": loose},
            tight > 1.5 * loose and tight > 0.2,
        )
        before, after = (float(np.mean([getattr(m, which) for m in narrow])) for which in ("oriented", "behind"))
        claim(
            "behind",
            "Behind the bottleneck cells are oriented",
            f"Orientation index with one channel: {before:.2f} at the retina's output, {after:.2f} in the layer "
            f"behind it.",
            {"retina": before, "behind": after},
            after > before,
        )
        turned = float(np.mean([m.oriented for m in wide]))
        claim(
            "without",
            "Without one the retina's cells are oriented, not centre-surround",
            f"Orientation index of the retina's output: {turned:.2f} without a bottleneck, {before:.2f} with one.",
            {"none": turned, "bottleneck": before},
            turned > before,
        )
    depths = sorted({m.depth for m in found})
    if len(depths) > 1:
        # Only bottlenecks that were trained at every depth: else depths would differ in these, too.
        everywhere = set.intersection(*({m.bottleneck for m in found if m.depth == d} for d in depths))
        fair = [m for m in found if m.bottleneck in everywhere]
        by_depth = {d: float(np.mean([m.nonlinear for m in fair if m.depth == d])) for d in depths}
        shallow, deep = by_depth[depths[0]], by_depth[depths[-1]]
        claim(
            "nonlinear",
            "A shallow visual system makes the retina less linear",
            f"Unexplained by a linear model: {shallow:.2f} with {depths[0]} layers behind the retina, {deep:.2f} "
            f"with {depths[-1]}.",
            {str(d): v for d, v in by_depth.items()},
            shallow > deep,
        )
    else:
        rows.append(
            ("A shallow visual system makes the retina less linear", "One depth only: --thorough trains more.", "-")
        )
    findings.tables["claims"] = Table(("claim", "measured", ""), rows)


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    found = findings.arrays["found"]
    return {"fields": _draw_fields(found), "linearity": _draw_linearity(found)}


def _draw_fields(found: Sequence[Measured]) -> Figure:
    from .drawing import bare, image, panels

    shown = [m for m in found if m.depth] or list(found)
    shown = [shown[0], shown[-1]] if len(shown) > 1 else shown
    columns = 6
    whole, axes = panels(2 * len(shown), columns, 2.2 * len(shown))
    for ax in axes.flat:
        bare(ax)
    for n, m in enumerate(shown):
        for line, fields, place in zip(axes[2 * n : 2 * n + 2], m.fields, ("retina", "behind"), strict=True):
            strongest = np.argsort(-np.square(fields).sum((1, 2)))[:columns]
            for ax, cell in zip(line, strongest, strict=False):
                first = cell == strongest[0]
                image(ax, fields[cell], f"N {m.bottleneck}, {place}" if first else "", signed=True)
    return whole


def _draw_linearity(found: Sequence[Measured]) -> Figure:
    from .drawing import COLOURS, axes_words, curve, panels

    whole, axes = panels(1, 1, 2.4)
    for n, bottleneck in enumerate(sorted({m.bottleneck for m in found})):
        own = [m for m in found if m.bottleneck == bottleneck]
        curve(axes[0, 0], [m.depth for m in own], [m.nonlinear for m in own], f"N {bottleneck}", COLOURS[n])
    axes_words(axes[0, 0], "layers behind the retina", "unexplained variance")
    return whole
