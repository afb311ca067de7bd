"""LeNet on handwritten digits: its kernels, its maps for one digit, what it confuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from .data import digits
from .fitting import Plan, answers, classify, seeded
from .networks import LeNet
from .study import Finding, Findings, Part, Settings, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WANTED = 0.985  # of accuracy

PAGE = (
    Part(
        "Trained from end to end",
        """LeNet reads a digit of 28x28 pixels through two pairs of convolution and pooling, one more convolution, and
        two fully connected layers. All units of a map share their weights, and all layers are trained at the same time
        by gradient descent; nobody tells it what a stroke is. (Rectification and maximum pooling stand where the paper
        of 1998 had tanh and trained averages.)""",
        {"course": "Accuracy on test digits while it is trained."},
        ("accuracy",),
    ),
    Part(
        "Input, kernel, activation map",
        """Each of the first layer's six kernels is slid over the digit. Where the digit looks like the kernel, the map
        is red; ReLU then drops what is blue.""",
        {"maps": "A test digit, the six kernels, the six activation maps, and these rectified and pooled."},
    ),
    Part(
        "Behind the first layer",
        """The second layer's sixteen kernels look at all six maps at once, so they can no longer be read as strokes.
        What they answer to can still be seen in their maps.""",
        {"deeper": "The sixteen maps of the second layer for the same digit, rectified."},
    ),
    Part(
        "What it confuses",
        "Rows are the digits as they are, columns what LeNet takes them for; the right ones are left out.",
        {
            "confusion": "How often each digit is taken for each other one.",
            "mistakes": "The mistakes it is surest of: what it is, and what LeNet says.",
        },
        ("confused",),
        ("confused",),
    ),
)


def run(settings: Settings) -> Findings:
    """Train and look."""
    data = digits(settings)
    data = data.first(*settings.sized((500, 200), (len(data.train), len(data.test))))
    plan = settings.sized(Plan(20, 32, 3e-3, judged=4), Plan(1500, 64, 3e-3, judged=15))
    model, curve = classify(seeded(settings.seed, LeNet), data, plan, settings, "LeNet", shift=1)
    findings = Findings()
    right = curve.scores[-1]
    parameters = sum(p.numel() for p in model.parameters())
    findings.sentences["accuracy"] = Finding(
        f"{right:.2%} of {len(data.test)} test digits are read rightly after {curve.steps[-1]} steps of {plan.batch} "
        f"digits, {curve.seconds[-1]:.0f} seconds here; {parameters} numbers were learnt.",
        {"accuracy": right, "steps": curve.steps[-1], "parameters": parameters},
        right >= WANTED,
    )
    findings.arrays |= {"steps": curve.steps, "scores": curve.scores}
    with torch.no_grad():
        _maps(findings, model, data.test[:1])
        _confusion(findings, answers(model, data.test), data.test, data.test_labels)
    return findings


def _maps(findings: Findings, model: nn.Sequential, digit: Tensor) -> None:
    first, relu, pool, second = list(model)[:4]
    maps = first(digit)
    findings.arrays |= {
        "digit": digit[0, 0].numpy(),
        "kernels": first.weight.detach()[:, 0].numpy(),  # type: ignore[operator]
        "maps": maps[0].clone().numpy(),
        "pooled": pool(relu(maps))[0].numpy(),
        "second": relu(second(pool(maps)))[0].numpy(),
    }


def _confusion(findings: Findings, logits: Tensor, pictures: Tensor, labels: Tensor) -> None:
    said = logits.argmax(1)
    counts = torch.zeros(10, 10, dtype=torch.int64)
    counts.index_put_((labels, said), torch.tensor(1), accumulate=True)
    findings.arrays["confusion"] = counts.numpy()
    wrong = counts.clone().fill_diagonal_(0)
    pairs = sorted(((int(wrong[a, b]), a, b) for a in range(10) for b in range(10) if wrong[a, b]), reverse=True)
    findings.tables["confused"] = Table(("digit", "taken for", "times"), [(str(a), str(b), n) for n, a, b in pairs[:5]])
    total = int(wrong.sum())
    if pairs:
        times, a, b = pairs[0]
        findings.sentences["confused"] = Finding(
            f"Of {total} mistakes the commonest is {a} taken for {b}, {times} times.",
            {"mistakes": total, "digit": a, "taken_for": b, "times": times},
        )
    sure = logits.softmax(1).amax(1)
    worst = torch.where(said != labels, sure, -1.0).topk(min(12, max(1, total))).indices
    findings.arrays["mistakes"] = [
        (pictures[i, 0].numpy(), int(labels[i]), int(said[i])) for i in worst if said[i] != labels[i]
    ]


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    drawn = {
        "course": _course(findings),
        "maps": _four_rows(findings),
        "deeper": _deeper(findings),
        "confusion": _counts(findings),
    }
    return drawn | ({"mistakes": _mistakes(findings)} if findings.arrays["mistakes"] else {})


def _course(findings: Findings) -> Figure:
    from .drawing import BLUE, RED, axes_words, curve, panels

    whole, axes = panels(1, 1, 2.4)
    ax = axes[0, 0]
    curve(ax, findings.arrays["steps"], [100 * score for score in findings.arrays["scores"]], "LeNet", BLUE)
    ax.axhline(100 * WANTED, color=RED, linewidth=1, linestyle="--")
    axes_words(ax, "steps", "test accuracy, %", legend=False)
    return whole


def _four_rows(findings: Findings) -> Figure:
    from .drawing import bare, image, panels

    arrays = findings.arrays
    whole, axes = panels(4, 6, 4.0)
    for ax in axes[0]:
        bare(ax)
    image(axes[0, 0], arrays["digit"], "input", limit=1.0)
    rows = (("kernels", "kernel"), ("maps", "map"), ("pooled", "pooled"))
    for line, (name, title) in zip(axes[1:], rows, strict=True):
        limit = float(np.abs(arrays[name]).max())
        for n, ax in enumerate(line):
            image(ax, arrays[name][n], f"{title} {n + 1}", signed=True, limit=limit)
    return whole


def _deeper(findings: Findings) -> Figure:
    from .drawing import image, panels

    whole, axes = panels(2, 8, 1.5)
    for ax, values in zip(axes.flat, findings.arrays["second"], strict=True):
        image(ax, values, signed=True, limit=float(findings.arrays["second"].max()) or 1.0)
    return whole


def _counts(findings: Findings) -> Figure:
    from .drawing import panels

    counts = findings.arrays["confusion"].astype(float)
    np.fill_diagonal(counts, np.nan)
    whole, axes = panels(1, 1, 4.6)
    ax = axes[0, 0]
    ax.imshow(counts, cmap="Oranges", vmin=0)
    for (row, column), value in np.ndenumerate(counts):
        if value > 0:
            ax.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8)
    ax.set_xticks(range(10))
    ax.set_yticks(range(10))
    ax.set_xlabel("LeNet says", fontsize=9)
    ax.set_ylabel("it is", fontsize=9)
    return whole


def _mistakes(findings: Findings) -> Figure:
    from .drawing import bare, image, panels

    whole, axes = panels(2, 6, 2.4)
    for ax in axes.flat:
        bare(ax)
    for ax, (picture, label, said) in zip(axes.flat, findings.arrays["mistakes"], strict=False):
        image(ax, picture, f"{label}, says {said}", limit=1.0)
    return whole
