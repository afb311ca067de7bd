"""Why convolution is a good idea for denoising, in experiments; and the deep image prior."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..core.blocks import conv, stage
from ..core.encoder_decoder import EncoderDecoder, Layout
from ..metrics import psnr
from .fitting import Plan, fit, seeded
from .meter import measured
from .pictures import crops, crops_of, grey, photograph, photographs, shown
from .shipped import network, unfilled
from .study import Finding, Findings, Part, Settings, Table, progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGMA = 25 / 255
PATCH = 12  # side of the pictures of the first experiment
KERNEL = 7
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
SHIPPED = ("denoise-fast",)
WIDTH = 16
DEPTHS = (2, 4, 7)  # of the DnCNN-like networks

PAGE = (
    Part(
        "Fewer samples are needed",
        f"""The lecture's quiz: why is convolution a good idea for denoising? Take the best linear denoiser in two
        forms. The fully connected one may make each of {PATCH}x{PATCH} pixels of any combination of all of them; it has
        {PATCH**2}² = {PATCH**4} weights. The convolutional one makes each pixel of its neighbours within
        {KERNEL}x{KERNEL}, everywhere in the same way: {KERNEL**2} weights. Both are solved for exactly (least squares
        with a ridge chosen on other patches) from the same noisy and clean patches of photographs, then tried on
        patches of another picture. Since what noise is does not depend on where it is, each patch gives the
        convolution {PATCH**2} examples, and the other one only one.""",
        {"samples": "PSNR on patches of another picture against the number of patches learnt from."},
        ("samples",),
        ("samples",),
    ),
    Part(
        "The kernel it learns is Wiener's",
        """In theory the best linear kernel follows from how neighbouring pixels of clean pictures correlate and how
        strong the noise is (Wiener). The kernel learnt from pairs is the same; a Gaussian of the best width comes
        close.""",
        {"kernels": "The learnt kernel, Wiener's for the same statistics, and the best Gaussian."},
        ("wiener",),
        ("kernels",),
    ),
    Part(
        "Averages",
        """The mean of n pixels with independent noise has a variance smaller by n. On an even surface a box of n
        pixels does just that. In a picture it blurs what is not even, so there is a best size; the best network is one
        that averages where nothing is lost.""",
        {"averages": "Variance of the noise left on an even surface, and PSNR of the picture, for boxes of n pixels."},
        ("averages",),
    ),
    Part(
        "Shifts",
        """A denoiser should not care where something is. Here the noisy picture is moved by three rows and five columns
        before denoising instead of after it; away from the border the two results should be the same. The U-Net works
        at 1/8 of the size, so for it only shifts by 8 pixels are exact.""",
        {},
        ("shifts",),
        ("shifts",),
    ),
    Part(
        "Depth and nonlinearity",
        """One convolution cannot tell an edge from noise. With ReLU between convolutions (as in DnCNN) a network can,
        once it sees far enough: the linear one here sees 7x7 pixels, two layers of 3x3 only 5x5. From four layers on
        deeper is better, and the U-Net sees further for less. The small ones are trained here for a minute or so each,
        the shipped ones were trained for hours, so this compares what was trained, not what could be.""",
        {"depth": "PSNR on the picture (noise of 25 grey levels) against multiplications per pixel."},
        ("depth",),
        ("depth",),
    ),
    Part(
        "Deep image prior",
        """Take a network with random weights and a fixed random input, and train it to give one picture, nothing else
        (Ulyanov 2018). It comes to the clean picture quickly and to pure noise slowly: its form alone prefers
        pictures. So, given a noisy picture, it passes close to the clean one on the way; stopped there, it has
        denoised without having seen any other picture.""",
        {
            "prior": "Left: how fast the network fits the picture, the noisy picture, and noise alone. Right: PSNR "
            "to the "
            "clean picture while it fits the noisy one.",
            "prior_pictures": "Noisy; what the network gives at its best; at the end; clean.",
        },
        ("prior", "order"),
    ),
)


@dataclass(frozen=True, eq=False)
class Patches:
    """Clean patches (N, 1, P, P) and the same with noise."""

    clean: Tensor
    noisy: Tensor


def run(settings: Settings) -> Findings:
    """Measure everything on the page."""
    findings = Findings()
    learn_from = [grey(p) for p in photographs(settings.sized(96, 256))]
    picture = grey(photograph(settings.picture, settings.sized(64, 192), multiple=8))[None]
    noisy = with_noise(picture, settings.seed)
    findings.arrays |= {"picture": shown(picture), "noisy": shown(noisy)}
    with torch.no_grad():
        kernel, matrix = _samples(findings, learn_from, picture, settings)
        _wiener(findings, kernel, learn_from, picture, noisy)
        _averages(findings, picture, noisy, settings)
        _shifts(findings, kernel, matrix, noisy, settings.sized(8, 40))
    _depth(findings, learn_from, picture, noisy, settings)
    _prior(findings, picture, noisy, settings)
    return findings


def with_noise(x: Tensor, seed: int, sigma: float = SIGMA) -> Tensor:
    """A picture with Gaussian noise."""
    return x + sigma * torch.randn(x.shape, generator=Generator().manual_seed(seed))


def noisy_crops(pictures: list[Tensor], side: int, n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """A batch to train a denoiser with: crops of pictures with noise, and without."""
    clean = crops_of(pictures, n, side, generator)
    return clean + SIGMA * torch.randn(clean.shape, generator=generator, device=clean.device), clean


def patches(pictures: list[Tensor], n: int, seed: int) -> Patches:
    """Patches of pictures (1, H, W), about equally many of each, in random order, with noise."""
    generator = Generator().manual_seed(seed)
    each = -(-n // len(pictures))
    clean = torch.cat([crops(p, each, PATCH, generator) for p in pictures])
    clean = clean[torch.randperm(len(clean), generator=generator)[:n]]
    return Patches(clean, clean + SIGMA * torch.randn(clean.shape, generator=generator))


class Ridge:
    """Least squares with a ridge: weights that make what is wanted of what is given and a constant.

    Samples come in as many parts as they please, for only sums over them are kept.

    Args:
        features: F, numbers given of a sample.
        wanted: G, numbers wanted of it.
    """

    def __init__(self, features: int, wanted: int) -> None:
        self.sum = torch.zeros(features + wanted, dtype=torch.float64)
        self.products = torch.zeros(features, features + wanted, dtype=torch.float64)
        self.features, self.count = features, 0

    def add(self, given: Tensor, wanted: Tensor) -> None:
        """Take in samples (N, F) and (N, G)."""
        both = torch.cat((given, wanted), 1).double()
        self.sum += both.sum(0)
        self.products += both[:, : self.features].T @ both
        self.count += len(both)

    @property
    def centre(self) -> Tensor:
        """The mean of what was given, (F,)."""
        return self.sum[: self.features] / self.count

    @property
    def target(self) -> Tensor:
        """The mean of what was wanted, (G,)."""
        return self.sum[self.features :] / self.count

    def weights(self, ridge: float) -> Tensor:
        """(F, G), for a ridge relative to the sum of squares of a feature."""
        centred = self.products - torch.outer(self.centre, self.sum)
        products, answers = centred[:, : self.features], centred[:, self.features :]
        scale = max(float(products.trace()) / self.features, 1e-6)  # one sample alone has no variance
        return torch.linalg.solve(products + ridge * scale * torch.eye(self.features, dtype=torch.float64), answers)

    def predict(self, given: Tensor, weights: Tensor) -> Tensor:
        """(N, G)."""
        return ((given.double() - self.centre) @ weights + self.target).float()


def dense(p: Tensor) -> Tensor:
    """Each patch as one row."""
    return p.flatten(1)


def neighbourhoods(p: Tensor) -> Tensor:
    """Each pixel's neighbourhood as one row, patch by patch; beyond the border the border's pixels go on."""
    padded = F.pad(p, (KERNEL // 2,) * 4, mode="replicate")
    return F.unfold(padded, KERNEL).transpose(1, 2).reshape(-1, KERNEL**2)


def _samples(
    findings: Findings, learn_from: list[Tensor], picture: Tensor, settings: Settings
) -> tuple[Tensor, Tensor]:
    """The experiment of the first section; the kernel and the matrix learnt from most patches."""
    most = settings.sized(64, 8192)
    learn, choose = patches(learn_from, most, settings.seed), patches(learn_from, 256, settings.seed + 1)
    trial = patches([picture[0]], settings.sized(64, 512), settings.seed + 2)
    counts = [2**i for i in range(most.bit_length())]
    forms: dict[str, Any] = {
        "convolutional": (neighbourhoods, lambda p: p.reshape(-1, 1)),
        "fully connected": (dense, dense),
    }
    curves: dict[str, list[float]] = {name: [] for name in forms}
    last: dict[str, Tensor] = {}
    ridges = {"convolutional": Ridge(KERNEL**2, 1), "fully connected": Ridge(PATCH**2, PATCH**2)}
    for before, n in progress(pairwise([0, *counts]), "samples", len(counts)):
        for name, (features, wanted) in forms.items():
            ridge = ridges[name]
            for noisy, clean in zip(learn.noisy[before:n].split(512), learn.clean[before:n].split(512), strict=True):
                ridge.add(features(noisy), wanted(clean))
            options = [ridge.weights(r) for r in RIDGES]
            errors = [
                (ridge.predict(features(choose.noisy), w) - wanted(choose.clean)).square().mean() for w in options
            ]
            best = options[int(torch.stack(errors).argmin())]
            curves[name].append(psnr(ridge.predict(features(trial.noisy), best), wanted(trial.clean)))
            last[name] = best.float()
    findings.arrays |= {"counts": counts, "curves": curves}
    rows = [(n, *(round(curves[name][i], 2) for name in forms)) for i, n in enumerate(counts)]
    findings.tables["samples"] = Table(("patches", *(f"{name}, dB" for name in forms)), rows)
    level = min(max(values) for values in curves.values()) - 0.1  # both come so far, and 0.1 dB is no difference
    needed = {name: next(n for n, v in zip(counts, curves[name], strict=True) if v >= level) for name in forms}
    few, many = needed["convolutional"], needed["fully connected"]
    findings.sentences["samples"] = Finding(
        f"{level:.2f} dB, which both reach, the convolutional one reaches with {few} patches and the fully connected "
        f"one "
        f"with {many}. With all {counts[-1]} they come to {curves['convolutional'][-1]:.2f} and "
        f"{curves['fully connected'][-1]:.2f} dB (noisy: {psnr(trial.noisy, trial.clean):.2f} dB).",
        {"level": level, "fully_connected": many, "convolutional": few},
        few < many,
    )
    return last["convolutional"].view(1, 1, KERNEL, KERNEL), last["fully connected"]


def filtered(x: Tensor, kernel: Tensor) -> Tensor:
    """A picture (1, 1, H, W) through a kernel (1, 1, k, k), the border repeated beyond itself."""
    return F.conv2d(F.pad(x, (kernel.shape[-1] // 2,) * 4, mode="replicate"), kernel)


def wiener(pictures: list[Tensor], sigma: float, size: int = KERNEL) -> Tensor:
    """The best linear kernel for pictures of such correlations and white noise: (1, 1, size, size).

    Solves R w = r, R being the covariance of a neighbourhood's noisy pixels and r that of these with the clean one in
    its middle, both from the mean autocovariance of the pictures (Wiener 1949).
    """
    reach = size - 1
    correlation = torch.zeros(2 * reach + 1, 2 * reach + 1, dtype=torch.float64)
    for picture in pictures:
        x = picture[0].double() - picture.double().mean()
        height, width = x.shape
        spectrum = torch.fft.rfft2(x, s=(2 * height, 2 * width)).abs().square()
        sums = torch.fft.irfft2(spectrum, s=(2 * height, 2 * width))
        lags = torch.arange(-reach, reach + 1)
        counts = (height - lags.abs())[:, None] * (width - lags.abs())[None]
        correlation += sums[lags][:, lags] / counts / len(pictures)
    places = torch.cartesian_prod(torch.arange(size), torch.arange(size))
    lag = places[:, None] - places[None] + reach
    covariance = correlation[lag[..., 0], lag[..., 1]] + sigma**2 * torch.eye(size**2, dtype=torch.float64)
    middle = places - size // 2 + reach
    return torch.linalg.solve(covariance, correlation[middle[:, 0], middle[:, 1]]).float().view(1, 1, size, size)


def gaussian(width: float, size: int = KERNEL) -> Tensor:
    """A Gaussian kernel that sums to 1."""
    x = torch.arange(size) - size // 2
    line = torch.exp(-x.square() / (2 * width**2))
    return (line[:, None] * line[None] / line.sum() ** 2).view(1, 1, size, size)


def _wiener(findings: Findings, kernel: Tensor, learn_from: list[Tensor], picture: Tensor, noisy: Tensor) -> None:
    theory = wiener(learn_from, SIGMA)
    widths = [0.3 + 0.1 * i for i in range(20)]
    best = max(widths, key=lambda w: psnr(filtered(noisy, gaussian(w)), picture))
    kernels = {"learnt": kernel, "Wiener": theory, f"Gaussian, width {best:.1f}": gaussian(best)}
    mean = float(picture.mean())
    rows: list[tuple[str | float, ...]] = []
    for name, k in kernels.items():
        # Kernels that do not sum to 1 are for what differs from the mean.
        result = filtered(noisy - mean, k) + mean
        alike = float(F.cosine_similarity(k.flatten(), theory.flatten(), dim=0))
        rows.append((name, round(psnr(result, picture), 2), round(float(k.sum()), 3), round(alike, 4)))
    findings.tables["kernels"] = Table(("kernel", "PSNR, dB", "sum", "cosine with Wiener's"), rows)
    findings.arrays["kernels"] = {name: k[0, 0].numpy() for name, k in kernels.items()}
    alike, learnt, gauss = float(rows[0][3]), float(rows[0][1]), float(rows[2][1])
    findings.sentences["wiener"] = Finding(
        f"The learnt kernel and Wiener's have a cosine of {alike:.3f}. On the picture the learnt one reaches "
        f"{learnt:.2f} dB, "
        f"Wiener's {float(rows[1][1]):.2f}, the best Gaussian {gauss:.2f}; it was chosen on this very picture.",
        {"cosine": alike, "learnt": learnt, "wiener": float(rows[1][1]), "gaussian": gauss},
        alike > 0.95,
    )


def _averages(findings: Findings, picture: Tensor, noisy: Tensor, settings: Settings) -> None:
    even = with_noise(torch.full((1, 1, 256, 256), 0.5), settings.seed)
    sizes = (1, 3, 5, 7, 9)
    left, quality = [], []
    for size in sizes:
        box = torch.full((1, 1, size, size), 1 / size**2)
        left.append(float(filtered(even, box)[..., 8:-8, 8:-8].var()))
        quality.append(psnr(filtered(noisy, box), picture))
    findings.arrays |= {"pixels": [s**2 for s in sizes], "left": left, "quality": quality}
    product = [variance * size**2 / left[0] for variance, size in zip(left, sizes, strict=True)]
    best = sizes[int(np.argmax(quality))]
    findings.sentences["averages"] = Finding(
        f"Variance times n, relative to one pixel, is {min(product):.2f} to {max(product):.2f} for n up to "
        f"{sizes[-1] ** 2}: it falls "
        f"with 1/n. In the picture a box of {best}x{best} is best ({max(quality):.2f} dB, noisy {quality[0]:.2f}).",
        {"least": min(product), "most": max(product), "best_box": best},
        min(product) > 0.8 and max(product) < 1.25,
    )


def _shifts(findings: Findings, kernel: Tensor, matrix: Tensor, noisy: Tensor, margin: int) -> None:
    unet = network(SHIPPED[0])
    sigma = torch.tensor([SIGMA])
    denoisers = {
        "convolutional": lambda x: filtered(x - 0.5, kernel) + 0.5,
        "fully connected": lambda x: patchwise(x - 0.5, matrix) + 0.5,
        SHIPPED[0]: lambda x: unet(x.expand(-1, 3, -1, -1), sigma).mean(1, keepdim=True),
    }
    rows = []
    for name, denoise in denoisers.items():
        straight = denoise(noisy)
        for shift in ((3, 5), (8, 8)):
            moved = torch.roll(denoise(torch.roll(noisy, shift, (-2, -1))), (-shift[0], -shift[1]), (-2, -1))
            inside = (..., slice(margin, -margin - shift[0]), slice(margin, -margin - shift[1]))
            difference = (moved[inside] - straight[inside]).square().mean().sqrt()
            rows.append((name, f"{shift[0]}, {shift[1]}", round(255 * float(difference), 3)))
    findings.tables["shifts"] = Table(("denoiser", "shift", "difference inside, grey levels (rms)"), rows)
    found = {str(row[0]): float(row[2]) for row in rows if row[1] == "3, 5"}
    findings.sentences["shifts"] = Finding(
        f"Moved by 3 and 5 pixels, the convolution's result differs by {found['convolutional']:.3f} grey levels, the "
        f"fully "
        f"connected one's by {found['fully connected']:.2f}, the U-Net's by {found[SHIPPED[0]]:.2f}.",
        found,
        found["convolutional"] < 0.01 < found["fully connected"],
    )


def patchwise(x: Tensor, matrix: Tensor) -> Tensor:
    """A picture through the fully connected denoiser, patch beside patch; what does not fill one is left noisy."""
    height, width = (n - n % PATCH for n in x.shape[-2:])
    rows = F.unfold(x[..., :height, :width], PATCH, stride=PATCH)
    result = x.clone()
    result[..., :height, :width] = F.fold(matrix.T @ rows, (height, width), PATCH, stride=PATCH)
    return result


class DnCNN(nn.Module):
    """Predicts the noise by convolutions with ReLU between them, and subtracts it; with one layer it is linear.

    References: Zhang et al. 2017, arXiv:1608.03981 (without batch norms, and far smaller).
    """

    def __init__(self, depth: int, width: int = WIDTH) -> None:
        super().__init__()
        if depth == 1:
            self.noise: nn.Module = conv(1, 1, KERNEL, padding_mode="replicate")
        else:
            inner = stage(1, width, depth - 1, padding_mode="replicate")
            self.noise = nn.Sequential(inner, conv(width, 1, padding_mode="replicate"))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.noise(x)


def _depth(findings: Findings, learn_from: list[Tensor], picture: Tensor, noisy: Tensor, settings: Settings) -> None:
    plan = settings.sized(Plan(5, 4, 2e-3, judged=1), Plan(800, 16, 2e-3, judged=1))

    batch = partial(noisy_crops, learn_from, 40)

    rows: list[tuple[str, float, float]] = []
    for depth in (1, *settings.sized(DEPTHS[:1], DEPTHS)):
        net = seeded(settings.seed, partial(DnCNN, depth))
        name = "linear" if depth == 1 else f"{depth} layers"
        # A single layer learns slowly what is weak in pictures: at the rate of the others it lacks 9 dB after all.
        own = replace(plan, lr=3e-2) if depth == 1 else plan
        net, _ = fit(net, batch, F.mse_loss, own, settings, name)
        work = sum(layer.multiplications for layer in measured(partial(DnCNN, depth), (1, 64, 64))) / 64**2 / 1000
        with torch.no_grad():
            rows.append((name, round(work, 2), round(psnr(net(noisy), picture), 2)))
    colour = noisy.expand(-1, 3, -1, -1)
    for name in SHIPPED:
        unet = network(name)
        layers = measured(partial(unfilled, name), (3, 64, 64), (1, 64, 64))
        work = sum(layer.multiplications for layer in layers) / 64**2 / 1000
        with torch.no_grad():
            result = unet(colour, torch.tensor([SIGMA])).mean(1, keepdim=True)
        rows.append((name, round(work, 1), round(psnr(result, picture), 2)))
    findings.tables["depth"] = Table(("network", "1000 multiplications a pixel", "PSNR, dB"), rows)
    values = {name: value for name, _, value in rows}
    deepest = rows[-len(SHIPPED) - 1][0]
    findings.sentences["depth"] = Finding(
        f"From one linear convolution to {deepest} the PSNR goes from {values['linear']:.2f} to "
        f"{values[deepest]:.2f} dB; the "
        f"shipped U-Net reaches {values[SHIPPED[0]]:.2f} dB (noisy: {psnr(noisy, picture):.2f}).",
        values,
        values["linear"] < values[deepest] < values[SHIPPED[0]],
    )


class Prior(nn.Module):
    """A network with a fixed random input: what is trained is the picture it gives.

    References: Ulyanov et al. 2018, arXiv:1711.10925 (smaller; no skips).
    """

    z: Tensor

    def __init__(self, height: int, width: int, seed: int) -> None:
        super().__init__()
        layout = Layout(
            widths=(16, 32, 64, 64), blocks=1, norm="instance", activation="leaky_relu", down="conv", up="bilinear"
        )
        self.net = EncoderDecoder(8, 1, layout)
        z = torch.rand(1, 8, height, width, generator=Generator().manual_seed(seed))
        self.register_buffer("z", 0.1 * z)

    def forward(self, _: Tensor) -> Tensor:
        return self.net(self.z)


@dataclass
class Course:
    """How a network came to give a picture: steps, errors to it, PSNR to the clean one; its best and last results."""

    steps: list[int]
    errors: list[float]
    scores: list[float]
    best: Tensor
    last: Tensor


def fit_prior(name: str, target: Tensor, clean: Tensor, plan: Plan, settings: Settings) -> Course:
    """Train a network of random weights to give one picture (1, 1, H, W)."""
    course = Course([], [], [], target, target)

    def batch(_: int, generator: Generator) -> tuple[Tensor, Tensor]:
        there = target.to(generator.device)
        return there, there

    def judge(net: Prior) -> float:
        given = net(target).float().cpu()
        score = psnr(given, clean)
        if score > max(course.scores, default=-1e9):
            course.best = given
        course.last = given
        course.errors.append(float((given - target).square().mean()))
        course.scores.append(score)
        return score

    model = seeded(settings.seed, partial(Prior, clean.shape[-2], clean.shape[-1], settings.seed))
    _, curve = fit(model, batch, F.mse_loss, plan, settings, name, judge)
    course.steps = curve.steps
    return course


def _prior(findings: Findings, picture: Tensor, noisy: Tensor, settings: Settings) -> None:
    plan = settings.sized(Plan(6, 1, 5e-3, 0.0, judged=3), Plan(1500, 1, 5e-3, 0.0, judged=50))
    side = settings.sized(32, 128)
    clean, grainy = picture[..., :side, :side], noisy[..., :side, :side]
    noise = (grainy - clean) / SIGMA * clean.std() + clean.mean()  # as bright and as varied as the picture
    curves: dict[str, Course] = {}
    for name, target in (("picture", clean), ("noisy picture", grainy), ("noise alone", noise)):
        curves[name] = fit_prior(name, target, clean, plan, settings)
    findings.arrays |= {"prior": curves, "prior clean": shown(clean), "prior noisy": shown(grainy)}
    course = curves["noisy picture"]
    start, best, end = psnr(grainy, clean), max(course.scores), course.scores[-1]
    at = course.steps[int(np.argmax(course.scores))]
    findings.sentences["prior"] = Finding(
        f"Fitting the noisy picture ({start:.2f} dB) the network comes nearest to the clean one after {at} steps, with "
        f"{best:.2f} dB, and has {end:.2f} dB after {course.steps[-1]}.",
        {"noisy": start, "best": best, "step": at, "end": end},
        best > start and best > end,
    )
    middle = len(course.steps) // 2
    picture_error, noise_error = (curves[name].errors[middle] for name in ("picture", "noise alone"))
    findings.sentences["order"] = Finding(
        f"After {course.steps[middle]} steps the mean squared error is {picture_error:.4f} for the picture and "
        f"{noise_error:.4f} for noise of the same variance.",
        {"picture": picture_error, "noise": noise_error},
        picture_error < noise_error,
    )


def draw(findings: Findings) -> dict[str, Figure]:
    """Draw what was measured: pictures by name."""
    arrays = findings.arrays
    return {
        "samples": _draw_samples(arrays),
        "kernels": _draw_kernels(arrays),
        "averages": _draw_averages(arrays),
        "depth": _draw_depth(findings.tables["depth"]),
        "prior": _draw_prior(arrays),
        "prior_pictures": _draw_prior_pictures(arrays),
    }


def _draw_samples(arrays: dict[str, Any]) -> Figure:
    from .drawing import BLUE, ORANGE, axes_words, curve, panels

    whole, axes = panels(1, 1, 2.8)
    for (name, values), colour in zip(arrays["curves"].items(), (BLUE, ORANGE), strict=True):
        curve(axes[0, 0], arrays["counts"], values, name, colour)
    axes[0, 0].set_xscale("log", base=2)
    axes_words(axes[0, 0], "patches learnt from", "PSNR, dB")
    return whole


def _draw_kernels(arrays: dict[str, Any]) -> Figure:
    from .drawing import image, panels

    whole, axes = panels(1, 3, 2.0)
    limit = max(float(np.abs(k).max()) for k in arrays["kernels"].values())
    for ax, (name, kernel) in zip(axes[0], arrays["kernels"].items(), strict=True):
        image(ax, kernel, name, signed=True, limit=limit)
    return whole


def _draw_averages(arrays: dict[str, Any]) -> Figure:
    from .drawing import BLUE, GREY, ORANGE, axes_words, curve, panels

    whole, axes = panels(1, 2, 2.4)
    pixels = np.array(arrays["pixels"])
    curve(axes[0, 0], pixels, arrays["left"], "measured", BLUE)
    axes[0, 0].plot(pixels, arrays["left"][0] / pixels, "--", color=GREY, label="1/n", linewidth=1)
    axes[0, 0].set_xscale("log")
    axes[0, 0].set_yscale("log")
    axes_words(axes[0, 0], "n, pixels in the box", "variance left")
    curve(axes[0, 1], pixels, arrays["quality"], "picture", ORANGE)
    axes_words(axes[0, 1], "n, pixels in the box", "PSNR, dB", legend=False)
    return whole


def _draw_depth(table: Table) -> Figure:
    from .drawing import BLUE, axes_words, panels

    whole, axes = panels(1, 1, 2.8)
    ax = axes[0, 0]
    for name, work, value in table.rows:
        ax.plot(float(work), float(value), "o", color=BLUE)
        ax.annotate(str(name), (float(work), float(value)), (4, -10), textcoords="offset points", fontsize=8)
    ax.set_xscale("log")
    ax.margins(x=0.2, y=0.15)
    axes_words(ax, "1000 multiplications a pixel", "PSNR, dB")
    return whole


def _draw_prior(arrays: dict[str, Any]) -> Figure:
    from .drawing import BLUE, GREEN, ORANGE, RED, axes_words, panels

    whole, axes = panels(1, 2, 2.6)
    for (name, course), colour in zip(arrays["prior"].items(), (GREEN, BLUE, ORANGE), strict=True):
        axes[0, 0].plot(course.steps, course.errors, label=name, color=colour)
    axes[0, 0].set_yscale("log")
    axes_words(axes[0, 0], "steps", "mean squared error to its target")
    course = arrays["prior"]["noisy picture"]
    axes[0, 1].plot(course.steps, course.scores, color=BLUE)
    axes[0, 1].axhline(psnr(arrays["prior noisy"], arrays["prior clean"]), color=RED, linestyle="--", linewidth=1)
    axes_words(axes[0, 1], "steps", "PSNR to the clean picture, dB")
    return whole


def _draw_prior_pictures(arrays: dict[str, Any]) -> Figure:
    from .drawing import image, panels

    whole, axes = panels(1, 4, 1.7)
    course = arrays["prior"]["noisy picture"]
    cases = (
        ("noisy", arrays["prior noisy"]),
        (f"best, {max(course.scores):.1f} dB", shown(course.best)),
        (f"at the end, {course.scores[-1]:.1f} dB", shown(course.last)),
        ("clean", arrays["prior clean"]),
    )
    for ax, (title, picture) in zip(axes[0], cases, strict=True):
        image(ax, picture, title, limit=1.0)
    return whole
