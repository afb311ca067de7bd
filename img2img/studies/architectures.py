"""Architectures side by side, to one scale; and what depth does to plain and to residual networks that are trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from torch import nn

from ..errors import DataError
from .data import cifar
from .fitting import Curve, Plan, accuracy, classify, seeded
from .meter import CONVOLUTIONS, Layer, measured
from .networks import Classifier, LeNet, Neocognitron
from .study import Finding, Findings, Part, Settings, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEPTHS = (8, 20, 32)
TRAIN_SAMPLE = 2000  # of the training pictures, for the training error

PAGE = (
    Part(
        "From the Neocognitron to residual networks",
        """Every one of these networks is convolutions, rectification and pooling, and at the end one or more fully
        connected layers; what changed in four decades is how many, how wide, and how they are joined. LeNet and
        the Neocognitron are small enough to need a magnifying glass here.""",
        {
            "scale": "Every layer with weights as a bar from left to right, all to one scale: as high as the picture "
            "it gives (224 pixels at most), as wide as its channels are many. Orange: fully connected."
        },
        ("table",),
        ("networks",),
    ),
    Part(
        "What they cost and see",
        """Parameters sit where layers are fully connected: most of AlexNet and VGG is three matrices at the end.
        Multiplications and activations sit where pictures are large: in the first convolutions. The receptive field is
        that part of the picture which can influence one number. It grows by two pixels with each 3x3 convolution, and
        faster behind each pooling or stride.""",
        {
            "costs": "Parameters, multiplications and activations for one picture.",
            "fields": "Receptive field after so many layers with weights.",
        },
        ("vgg",),
    ),
    Part(
        "Depth hurts without skips",
        """He and others saw in 2015 that a plain network gets worse when it is made deeper, and not because it
        overfits: its error on the pictures that it was trained on rises, too. With every two convolutions bridged by a
        sum, depth helps. Here the same six networks are trained on CIFAR-10 in grey, each with the same number of
        multiplications in all, which is about the same number of minutes: the deeper ones see fewer pictures. Plain
        and residual networks of one depth have the same convolutions and see the same pictures in the same order.""",
        {"depth": "Test accuracy while they are trained, against the share of the training."},
        ("deepest", "gap"),
        ("depth",),
    ),
)


def zoo() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]]:
    """The architectures: what builds each, and the picture it takes."""
    models: Any = import_module("torchvision.models")
    large = (3, 224, 224)
    return {
        "Neocognitron, 1980": (Neocognitron, (1, 16, 16)),
        "LeNet-5, 1998": (LeNet, (1, 28, 28)),
        "AlexNet, 2012": (models.alexnet, large),
        "VGG-11, 2014": (models.vgg11, large),
        "VGG-16, 2014": (models.vgg16, large),
        "VGG-19, 2014": (models.vgg19, large),
        "GoogLeNet, 2014": (partial(models.googlenet, aux_logits=False, init_weights=False), large),
        "ResNet-18, 2015": (models.resnet18, large),
        "ResNet-34, 2015": (models.resnet34, large),
    }


def run(settings: Settings) -> Findings:
    """Count all of them; train six if there is data."""
    findings = Findings()
    networks = {name: measured(build, shape) for name, (build, shape) in zoo().items()}
    findings.arrays["networks"] = networks
    _table(findings, networks)
    try:
        _train(findings, settings)
    except DataError as error:
        if settings.data is not None:
            raise
        findings.sentences["deepest"] = Finding(f"Not trained here: {error}.", {})
    return findings


def weighted(layers: list[Layer]) -> list[Layer]:
    """Those with weights."""
    return [layer for layer in layers if layer.kind in (*CONVOLUTIONS, "linear")]


def _table(findings: Findings, networks: dict[str, list[Layer]]) -> None:
    rows = []
    for name, layers in networks.items():
        own = weighted(layers)
        sums = [sum(getattr(layer, what) for layer in own) for what in ("parameters", "multiplications", "activations")]
        field = max(layer.field for layer in own if layer.kind in CONVOLUTIONS)
        rows.append((name, own[-1].depth, len(own), *sums, field))
    header = (
        "network",
        "depth",
        "layers with weights",
        "parameters",
        "multiplications",
        "activations",
        "field of the convolutions",
    )
    findings.tables["networks"] = Table(header, rows)
    costs = {str(row[0]).partition(",")[0]: row for row in rows}
    vgg, resnet = costs["VGG-19"], costs["ResNet-34"]
    times = float(vgg[4]) / float(resnet[4])
    findings.sentences["table"] = Finding(
        f"ResNet-34 is nearly twice as deep as VGG-19 and needs {times:.1f} times fewer multiplications (batch norms "
        "are not counted).",
        {"vgg19": float(vgg[4]), "resnet34": float(resnet[4])},
    )
    layers = networks["VGG-16, 2014"]
    dense = sum(layer.parameters for layer in layers if layer.kind == "linear") / sum(
        layer.parameters for layer in layers
    )
    work = [layer.multiplications for layer in layers]
    early = sum(work[: len(work) // 3]) / sum(work)
    findings.sentences["vgg"] = Finding(
        f"In VGG-16 {dense:.0%} of the parameters are in the three fully connected layers, which do "
        f"{1 - sum(x.multiplications for x in layers if x.kind != 'linear') / sum(work):.1%} of the multiplications.",
        {"share_of_parameters": dense, "share_of_work_in_first_third": early},
    )


def classifiers(settings: Settings) -> dict[tuple[int, bool], Classifier]:
    """The networks to be trained, by depth and whether they are residual, with their first weights."""
    width = settings.sized(4, 8)
    depths = settings.sized(DEPTHS[:2], DEPTHS)
    return {
        (depth, residual): seeded(settings.seed, partial(Classifier, (depth - 2) // 6, residual, width))
        for depth in depths
        for residual in (False, True)
    }


def plan_for(settings: Settings, depth: int) -> Plan:
    """As many steps as make the same number of multiplications at every depth; 8 layers' number is the longest."""
    steps = settings.sized(12, 3000) * work_of(DEPTHS[0]) // work_of(depth)
    return settings.sized(Plan(steps, 16, 3e-3, judged=3), Plan(steps, 64, 3e-3, judged=12))


def work_of(depth: int) -> int:
    """Multiplications of a classifier for one picture."""
    layers = measured(partial(Classifier, (depth - 2) // 6, False, 8), (1, 32, 32))
    return sum(layer.multiplications for layer in layers)


def _train(findings: Findings, settings: Settings) -> None:
    data = cifar(settings)
    data = data.first(*settings.sized((200, 100), (len(data.train), 2000)))
    rows: list[tuple[str | float, ...]] = []
    curves: dict[tuple[int, bool], Curve] = {}
    train_right: dict[tuple[int, bool], float] = {}
    for (depth, residual), model in classifiers(settings).items():
        kind, plan = "residual" if residual else "plain", plan_for(settings, depth)
        model, course = classify(model, data, plan, settings, f"{kind}, {depth} layers", 2, True)
        curves[depth, residual] = course
        train_right[depth, residual] = accuracy(model, data.train[:TRAIN_SAMPLE], data.train_labels[:TRAIN_SAMPLE])
        rows.append(
            (
                f"{kind} {depth}",
                course.steps[-1],
                round(100 * (1 - train_right[depth, residual]), 2),
                round(100 * (1 - course.scores[-1]), 2),
                round(course.seconds[-1] / 60, 2),
            )
        )
    findings.arrays["curves"] = curves
    findings.tables["depth"] = Table(("network", "steps", "training error, %", "test error, %", "minutes"), rows)
    shallow, deep = min(depth for depth, _ in curves), max(depth for depth, _ in curves)
    plain = {depth: 100 * (1 - train_right[depth, False]) for depth in (shallow, deep)}
    findings.sentences["deepest"] = Finding(
        f"From {shallow} to {deep} plain layers the error on training pictures goes from {plain[shallow]:.1f} % to "
        f"{plain[deep]:.1f} %: depth {'hurts' if plain[deep] > plain[shallow] else 'does not hurt'} without skips.",
        {f"plain_{depth}": error for depth, error in plain.items()},
        plain[deep] > plain[shallow],
    )
    gap = {depth: 100 * (train_right[depth, True] - train_right[depth, False]) for depth in (shallow, deep)}
    findings.sentences["gap"] = Finding(
        f"Skips lower the training error by {gap[deep]:.1f} points at {deep} layers and by {gap[shallow]:.1f} at "
        f"{shallow}: the deeper, the more they are needed.",
        {f"gap_{depth}": points for depth, points in gap.items()},
        gap[deep] > gap[shallow],
    )


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    drawn = {"scale": _to_scale(findings), "costs": _costs(findings), "fields": _fields(findings)}
    return drawn | ({"depth": _depth(findings)} if "curves" in findings.arrays else {})


def _to_scale(findings: Findings) -> Figure:
    from .drawing import bare, panels

    networks = findings.arrays["networks"]
    whole, axes = panels(len(networks), 1, 0.62 * len(networks) + 0.4)
    longest = max(_length(layers) for layers in networks.values())
    for ax, (name, layers) in zip(axes[:, 0], networks.items(), strict=True):
        _bars(ax, layers)
        ax.set_xlim(0, longest)
        ax.set_ylim(0, 230)
        bare(ax)
        ax.set_title(name, fontsize=8, loc="left", pad=1)
    return whole


def _length(layers: list[Layer]) -> int:
    return sum(layer.shape[0] + 20 for layer in weighted(layers))


def _bars(ax: Axes, layers: list[Layer]) -> None:
    from .drawing import BLUE, ORANGE

    left = 0
    for layer in weighted(layers):
        dense = layer.kind == "linear"
        ax.bar(
            left,
            2 if dense else layer.shape[1],
            layer.shape[0],
            color=ORANGE if dense else BLUE,
            align="edge",
            linewidth=0,
        )
        left += layer.shape[0] + 20


def _costs(findings: Findings) -> Figure:
    from .drawing import BLUE, panels

    table = findings.tables["networks"]
    names = [str(row[0]).partition(",")[0] for row in table.rows]
    whole, axes = panels(1, 3, 2.9)
    for ax, column in zip(axes[0], (3, 4, 5), strict=True):
        ax.barh(names, [float(row[column]) for row in table.rows], color=BLUE)
        ax.set_xscale("log")
        ax.invert_yaxis()
        ax.set_title(table.header[column], fontsize=9)
        if ax is not axes[0, 0]:
            ax.set_yticklabels([])
    return whole


def _fields(findings: Findings) -> Figure:
    from .drawing import COLOURS, axes_words, panels

    whole, axes = panels(1, 1, 3.2)
    for n, (name, layers) in enumerate(findings.arrays["networks"].items()):
        deepest: dict[int, int] = {}
        for layer in weighted(layers):
            if layer.kind != "linear":
                deepest[layer.depth] = max(layer.field, deepest.get(layer.depth, 0))
        colour = COLOURS[n % len(COLOURS)]
        axes[0, 0].plot(
            list(deepest), list(deepest.values()), ".-", color=colour, label=name.partition(",")[0], linewidth=1
        )
    axes_words(axes[0, 0], "layers with weights", "receptive field, pixels")
    return whole


def _depth(findings: Findings) -> Figure:
    from .drawing import COLOURS, axes_words, panels

    whole, axes = panels(1, 2, 2.8)
    for (depth, residual), course in findings.arrays["curves"].items():
        share = [step / course.steps[-1] for step in course.steps]
        axes[0, int(residual)].plot(
            share,
            [100 * score for score in course.scores],
            ".-",
            label=f"{depth} layers",
            color=COLOURS[DEPTHS.index(depth)],
            linewidth=1.2,
        )
    top = max(100 * max(course.scores) for course in findings.arrays["curves"].values()) + 3
    for ax, title in zip(axes[0], ("plain", "residual"), strict=True):
        axes_words(ax, "share of the training", "test accuracy, %", title)
        ax.set_ylim(5, top)
    return whole
