"""Convolution: a kernel slides over a picture and over a matrix of numbers; rectification, pooling, padding, shifts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.blocks import Downsample, PaddingMode, activation_layer, conv
from .pictures import grey, photograph, shown
from .study import Finding, Findings, Part, Settings, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MATRIX = (
    (7, 6, 5, 5, 6, 7),
    (6, 4, 3, 3, 4, 6),
    (5, 3, 2, 2, 3, 5),
    (5, 3, 2, 2, 3, 5),
    (6, 4, 3, 3, 4, 6),
    (7, 6, 5, 5, 6, 7),
)
KERNELS = {
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "blur": ((1 / 9,) * 3,) * 3,
    "edges": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "Laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
}
PADDINGS: tuple[PaddingMode, ...] = ("zeros", "replicate", "circular", "valid")
PLACE = (1, 1)  # of the window that is worked out in numbers
SHIFT = (3, 5)  # rows and columns by which the picture is moved
SIDE = 192

PAGE = (
    Part(
        "A kernel slides over numbers",
        """A convolution looks at one small window of its input at a time, multiplies each number there with the
        kernel's number at the same place, and adds the products up. Then it moves on by one. The kernel stays the
        same everywhere: nine numbers serve the whole picture. (Strictly this is a correlation, for a convolution turns
        the kernel round first. Networks learn the kernel, so it makes no difference to them.)

        At the border the window reaches beyond the matrix. What is taken to lie there is a choice: zeros, the border's
        own numbers once more, the other side (as on a torus), or nothing at all, and then the output is smaller.""",
        {
            "sliding": "The slide's matrix and its sharpening kernel: three windows of the input (red), and the output "
            "as far as it has come.",
            "padding": "The whole output with each padding. Only the outer ring differs.",
        },
        ("window", "padding"),
    ),
    Part(
        "The same over a picture",
        """Each kernel answers one question about every place: how much does it stand out from its neighbours, how
        bright is it on the whole, does it get lighter from left to right. The answer is a picture again, called
        activation map or feature map. Red is positive, blue negative.""",
        {"kernels": "Four kernels and what they make of the picture."},
        tables=("kernels",),
    ),
    Part(
        "Half-wave rectification and pooling",
        """ReLU lets positive answers pass and sets negative ones to zero, as a diode rectifies one half of a wave. So a
        map says where the pattern is, and no longer where its opposite is. Pooling then keeps one number of each
        window of 2x2: the highest, or the mean. The map is a quarter as large, and small movements are forgotten.""",
        {
            "rectified": "The map of the kernel for edges, rectified, then pooled.",
            "pooled": "Pooling in numbers: the middle of the sharpened matrix.",
        },
        ("rectified", "pooled"),
    ),
    Part(
        "A shifted picture gives a shifted map",
        f"""Since the kernel is the same everywhere, moving the picture moves the map and changes nothing else. That is
        called equivariance to shifts. Here the picture is moved by {SHIFT[0]} rows and {SHIFT[1]} columns, what leaves
        on one side coming in on the other, before the operation or after it. With circular padding both ways agree;
        zeros at the border make a difference there. Pooling and strides keep only shifts by whole windows.""",
        {"shifts": "Where map of the moved picture and moved map differ, for convolutions with both paddings."},
        ("circular", "zeros", "strided"),
        ("shifts",),
    ),
)


def convolution(kernel: object, padding: PaddingMode) -> nn.Conv2d:
    """The suite's own convolution, one channel to one, with given numbers in place of learnt ones."""
    numbers = torch.tensor(kernel, dtype=torch.float32)
    layer = conv(1, 1, numbers.shape[-1], bias=False, padding_mode=padding)
    layer.weight.data = numbers[None, None]
    return layer


@torch.no_grad()
def run(settings: Settings) -> Findings:
    """Measure everything on the page."""
    findings = Findings()
    _on_numbers(findings)
    picture = grey(photograph(settings.picture, settings.sized(64, SIDE), multiple=4))[None]
    findings.arrays["picture"] = shown(picture)
    _on_picture(findings, picture)
    _shifts(findings, picture)
    return findings


def _on_numbers(findings: Findings) -> None:
    matrix = torch.tensor(MATRIX, dtype=torch.float32)
    kernel = KERNELS["sharpen"]
    findings.arrays["matrix"], findings.arrays["kernel"] = matrix.numpy(), np.array(kernel, np.float32)
    for padding in PADDINGS:
        findings.arrays[f"matrix {padding}"] = convolution(kernel, padding)(matrix[None, None])[0, 0].numpy()
    row, column = PLACE
    window = matrix[row - 1 : row + 2, column - 1 : column + 2].flatten().tolist()
    weights = [weight for line in kernel for weight in line]
    terms = " + ".join(
        f"{w:g}·{x:g}" if w >= 0 else f"({w:g})·{x:g}" for w, x in zip(weights, window, strict=True) if w
    )
    value = float(findings.arrays["matrix zeros"][row, column])
    findings.sentences["window"] = Finding(
        f"At row {row + 1}, column {column + 1}: {terms} = {value:g}. The other four products are with zero.",
        {"row": row + 1, "column": column + 1, "value": value},
    )
    zeros, circular = (findings.arrays[f"matrix {padding}"] for padding in ("zeros", "circular"))
    differ = int((zeros != circular).sum())
    findings.sentences["padding"] = Finding(
        f"Zeros and circular padding give different numbers at {differ} of {zeros.size} places, all of them at the "
        f"border; the corner is {zeros[0, 0]:g} with zeros and {circular[0, 0]:g} on a torus. The kernel's numbers sum "
        f"to 1, so on a torus the sum of the matrix stays as it is: {matrix.sum():g} before, {circular.sum():g} after.",
        {"differ": differ, "of": zeros.size, "sum_before": float(matrix.sum()), "sum_after": float(circular.sum())},
    )
    inner = torch.from_numpy(zeros[1:5, 1:5])[None, None]
    findings.arrays["inner"] = inner[0, 0].numpy()
    for kind in ("max", "average"):
        pooled, _ = Downsample(kind, 1, 1)(inner)
        findings.arrays[f"inner {kind}"] = pooled[0, 0].numpy()
    window = findings.arrays["inner"][:2, :2].flatten()
    highest, mean = float(findings.arrays["inner max"][0, 0]), float(findings.arrays["inner average"][0, 0])
    findings.sentences["pooled"] = Finding(
        f"The first window holds {', '.join(f'{x:g}' for x in window)}: its maximum is {highest:g}, its mean {mean:g}.",
        {"max": highest, "average": mean},
    )


def _on_picture(findings: Findings, picture: Tensor) -> None:
    rows: list[tuple[str | float, ...]] = []
    for name, kernel in KERNELS.items():
        answer = convolution(kernel, "replicate")(picture)
        findings.arrays[f"picture {name}"] = shown(answer)
        rows.append((name, *(round(float(x), 4) for x in (np.sum(kernel), answer.min(), answer.mean(), answer.max()))))
    findings.tables["kernels"] = Table(("kernel", "sum of its numbers", "least answer", "mean answer", "largest"), rows)
    edges = convolution(KERNELS["edges"], "replicate")(picture)
    (relu,) = activation_layer("relu")
    rectified = relu(edges.clone())
    findings.arrays["rectified"] = shown(rectified)
    for kind in ("max", "average"):
        pooled, _ = Downsample(kind, 1, 1)(rectified)
        findings.arrays[f"rectified {kind}"] = shown(pooled)
    zero, mean_before, mean_after = (
        float(x) for x in ((rectified == 0).float().mean(), rectified.mean(), findings.arrays["rectified max"].mean())
    )
    findings.sentences["rectified"] = Finding(
        f"Rectified, {zero:.0%} of the map is zero. Max pooling leaves a quarter of the numbers and raises their mean "
        f"from {mean_before:.3f} to {mean_after:.3f}; average pooling leaves the mean as it is "
        f"({findings.arrays['rectified average'].mean():.3f}).",
        {"zero": zero, "mean": mean_before, "mean_max_pooled": mean_after},
    )


def moved(x: Tensor, shift: tuple[int, int]) -> Tensor:
    """A picture on a torus, moved down and to the right."""
    return torch.roll(x, shift, (-2, -1))


def _shifts(findings: Findings, picture: Tensor) -> None:
    rows: list[tuple[str | float, ...]] = []
    pool = Downsample("max", 1, 1)
    for padding in ("circular", "zeros"):
        layer = convolution(KERNELS["Laplacian"], padding)
        difference = layer(moved(picture, SHIFT)) - moved(layer(picture), SHIFT)
        findings.arrays[f"shift {padding}"] = shown(difference)
        largest, places = float(difference.abs().max()), float((difference.abs() > 1e-4).float().mean())
        rows.append((f"convolution, {padding}", f"{SHIFT[0]}, {SHIFT[1]}", round(largest, 6), round(100 * places, 2)))
        words = (
            "agree but for rounding" if largest < 1e-4 else f"differ at {places:.1%} of the places, along the border"
        )
        findings.sentences[padding] = Finding(
            f"With padding `{padding}` moving first and moving last {words}: by {largest:.1e} at most.",
            {"largest_difference": largest, "share_of_places": places},
        )
    layer = convolution(KERNELS["Laplacian"], "circular")
    strided = {}
    for shift in (1, 2):
        before = pool(F.relu(layer(moved(picture, (0, shift)))))[0]
        after = pool(F.relu(layer(picture)))[0]
        kept = moved(after, (0, shift // 2))
        difference = (before - kept).abs()
        strided[shift] = float(difference.max())
        places = float((difference > 1e-4).float().mean())
        rows.append(("convolution, ReLU, max pooling", f"0, {shift}", round(strided[shift], 6), round(100 * places, 2)))
    findings.tables["shifts"] = Table(("operation", "shift", "largest difference", "places that differ, %"), rows)
    findings.sentences["strided"] = Finding(
        f"Behind a pooling of 2x2, a shift by two columns is a shift by one (difference {strided[2]:.1e}), but one "
        f"column more cannot be said any longer: the maps differ by up to {strided[1]:.2f}.",
        {"shift_1": strided[1], "shift_2": strided[2]},
    )


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    return {
        "sliding": _sliding(findings),
        "padding": _padding(findings),
        "kernels": _kernels(findings),
        "rectified": _rectified(findings),
        "pooled": _pooled(findings),
        "shifts": _shifted(findings),
    }


def _sliding(findings: Findings) -> Figure:
    from .drawing import frame, numbers, panels

    matrix, output = findings.arrays["matrix"], findings.arrays["matrix replicate"]
    whole, axes = panels(3, 3, 6.0)
    for (row, column), (left, middle, right) in zip(((0, 0), (1, 1), (3, 4)), axes, strict=True):
        padded = np.pad(matrix, 1, constant_values=np.nan)
        numbers(left, padded, "input")
        frame(left, row, column, 3, 3)
        numbers(middle, findings.arrays["kernel"], "kernel", "Oranges")
        done = np.full_like(output, np.nan)
        last = row * output.shape[1] + column + 1
        done.flat[:last] = output.flat[:last]
        numbers(right, done, "output so far", "Greens")
        frame(right, row, column, 1, 1)
    return whole


def _padding(findings: Findings) -> Figure:
    from .drawing import numbers, panels

    whole, axes = panels(2, 2, 5.4)
    for padding, ax in zip(PADDINGS, axes.flat, strict=True):
        numbers(ax, findings.arrays[f"matrix {padding}"], padding, "Greens")
    return whole


def _kernels(findings: Findings) -> Figure:
    from .drawing import image, numbers, panels

    whole, axes = panels(2, 4, 3.2)
    for (name, kernel), (above, below) in zip(KERNELS.items(), axes.T, strict=True):
        fractions = name == "blur"
        numbers(above, np.array(kernel), name, "Oranges", digits=2 if fractions else 0)
        answer = findings.arrays[f"picture {name}"]
        if name in ("sharpen", "blur"):
            image(below, answer.clip(0, 1), limit=1.0)
        else:
            image(below, answer, signed=True, limit=float(np.percentile(np.abs(answer), 99.5)))
    return whole


def _rectified(findings: Findings) -> Figure:
    from .drawing import bare, image, panels

    edges, rectified = findings.arrays["picture edges"], findings.arrays["rectified"]
    limit = float(np.percentile(np.abs(edges), 99.5))
    whole, axes = panels(2, 3, 3.2)
    image(axes[0, 0], findings.arrays["picture"], "picture", limit=1.0)
    image(axes[0, 1], edges, "edges", signed=True, limit=limit)
    image(axes[0, 2], rectified, "rectified", signed=True, limit=limit)
    wave = np.sin(np.linspace(0, 4 * np.pi, 200))
    axes[1, 0].plot(wave, color="#bbbbbb", linewidth=1)
    axes[1, 0].plot(np.maximum(wave, 0), color="#2f6db3", linewidth=1.6)
    bare(axes[1, 0], "a wave, rectified")
    for ax, kind in zip(axes[1, 1:], ("max", "average"), strict=True):
        image(ax, findings.arrays[f"rectified {kind}"], f"{kind} pooling", signed=True, limit=limit)
    return whole


def _pooled(findings: Findings) -> Figure:
    from .drawing import frame, numbers, panels

    whole, axes = panels(1, 3, 2.0)
    numbers(axes[0, 0], findings.arrays["inner"], "before", "Greens")
    frame(axes[0, 0], 0, 0, 2, 2)
    for ax, kind in zip(axes[0, 1:], ("max", "average"), strict=True):
        numbers(ax, findings.arrays[f"inner {kind}"], kind, "Greens", digits=0 if kind == "max" else 2)
        frame(ax, 0, 0, 1, 1)
    return whole


def _shifted(findings: Findings) -> Figure:
    from .drawing import image, panels

    whole, axes = panels(1, 3, 1.8)
    image(axes[0, 0], np.roll(findings.arrays["picture"], SHIFT, (0, 1)), "moved picture", limit=1.0)
    for ax, padding in zip(axes[0, 1:], ("circular", "zeros"), strict=True):
        image(ax, np.abs(findings.arrays[f"shift {padding}"]), f"difference, {padding}", limit=0.2)
    return whole
