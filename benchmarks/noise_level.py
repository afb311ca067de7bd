"""How well the noise level is estimated from the picture alone: `img2img bench sigma`.

Noise as in `denoise_psnr`, where the true level is known. Three estimators: the part of denoise-photo that finds the
noise, the wavelet estimator that scikit-image has (Donoho's median absolute deviation), and the published one of Chen,
Zhu and Heng, written out here.

- `error`: mean over pictures of |estimate / true - 1|, and `bias`: of estimate / true - 1, both in per cent.
- `cost`: how many dB of PSNR denoising loses when it is told the estimate in place of the true level. It can be
  negative in the case `8bit`, where clipping has taken part of the noise away and the true level says too much.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from img2img.errors import ImageError, Img2ImgError
from img2img.metrics import psnr

from .denoise_psnr import CASES, add_noise, denoise_with, picture_files, read_levels
from .peers import Image
from .report import markdown_table, new_record, slashed, write_json

OURS = "ours (denoise-photo's)"
PATCH = 8
"""Side of the patches of `chen`, as in the paper."""

Estimate: TypeAlias = Callable[[Image], float]
"""Takes (H, W, 3) or (H, W) in grey levels 0 to 255, and returns the noise's standard deviation in grey levels."""


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of clean pictures (not searched recursively); scikit-image's own photographs if None.
        sigmas: true noise levels in grey levels, each above 0.
        model: name or file of the denoiser that the cost is measured with.
        cases: of "float" and "8bit", the order of the tables.
        limit: only the first so many pictures, by name.
        device, precision: as for `Denoiser.from_pretrained`.
        out: folder for `noise_level.json`; nothing is written if None.
    """

    data: Path | None = None
    sigmas: Sequence[float] = (5.0, 10.0, 15.0, 25.0, 50.0, 75.0)
    model: str = "denoise-fast"
    cases: Sequence[str] = CASES
    limit: int | None = None
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None


@dataclass(frozen=True)
class Score:
    """What one estimator said of one picture, and what that costs in dB."""

    case: str
    method: str
    sigma: float
    image: str
    estimate: float
    cost: float
    seconds: float
    megapixels: float


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the tables through ``echo``, write `noise_level.json`, and return what it holds.

    Raises:
        ImageError: there are no pictures, one cannot be read or is smaller than a patch.
        WeightsError: the denoiser or the estimator cannot be loaded.
        Img2ImgError: a level of 0, of which no error in per cent exists.
    """
    if min(settings.sigmas) <= 0:
        raise Img2ImgError("a noise level of 0 has no relative error; give levels above 0")
    files = picture_files(settings.data, settings.limit)
    scores = list(_measure(files, settings))
    summary = summarise(scores)
    record = new_record("sigma", settings, files, summary=summary, scores=[asdict(score) for score in scores])
    source = "scikit-image's photographs" if settings.data is None else settings.data.name
    noise = {"float": "noise neither clipped nor rounded", "8bit": "noisy image clipped and rounded to 8 bits"}
    for case in settings.cases:
        echo(f"\n{source}, {len(files)} images, {noise[case]}; cost with {settings.model}\n\n{table(summary, case)}")
    if settings.out is not None:
        write_json(settings.out / "noise_level.json", record)
        echo(f"\n{settings.out / 'noise_level.json'}")
    return record


# ---- the estimators


def chen(noisy: Image) -> float:
    """The noise level by the eigenvalues of the patches' covariance (Chen, Zhu & Heng 2015).

    Clean patches lie near a subspace, so that the smallest eigenvalues are the noise's variance alone, spread evenly
    about it: there the mean equals the median. Those of the picture pull the mean above the median; the largest is
    removed until it no longer is. (The paper asks for equality, which numbers with rounding hardly ever meet; the first
    mean not above the median is the same place.)

    Args:
        noisy: (H, W, C) or (H, W), no side below `PATCH`.

    Returns:
        Standard deviation in the units of ``noisy``.

    References: Chen, Zhu, Heng 2015, "An Efficient Statistical Method for Image Noise Level Estimation", ICCV.
    """
    values = np.linalg.eigvalsh(patch_covariance(noisy))  # ascending
    while values.mean() > np.median(values):
        values = values[:-1]
    return float(np.sqrt(max(values.mean(), 0.0)))


def patch_covariance(image: Image) -> Image:
    """Covariance of all overlapping patches, of all channels together: (d, d) with d = PATCH * PATCH * C."""
    layered = np.atleast_3d(image)
    centred = layered - layered.mean(axis=(0, 1))  # small numbers: the mean's outer product is subtracted below
    windows = np.lib.stride_tricks.sliding_window_view(centred, (PATCH, PATCH, layered.shape[2]))
    count = windows.shape[0] * windows.shape[1]
    size = PATCH * PATCH * layered.shape[2]
    total, products = np.zeros(size), np.zeros((size, size))
    for row in windows:  # not all patches at once, which take 64 times the picture's memory
        patches = row.reshape(-1, size)
        total += patches.sum(axis=0)
        products += patches.T @ patches
    mean = total / count
    covariance: Image = products / count - np.outer(mean, mean)
    return covariance


def wavelet_mad(noisy: Image) -> float:
    """scikit-image's: median absolute deviation of the finest wavelet coefficients (Donoho & Johnstone 1994)."""
    from skimage.restoration import estimate_sigma

    return float(estimate_sigma(noisy, average_sigmas=True, channel_axis=-1 if noisy.ndim == 3 else None))


def _network(denoiser: Any) -> Estimate:
    """A denoiser's estimator as a function of arrays in grey levels; the conversion is part of its time."""

    def estimate(noisy: Image) -> float:
        image = (np.atleast_3d(noisy).transpose(2, 0, 1) / 255.0).astype(np.float32)
        return 255.0 * float(denoiser.estimate_sigma(image))

    return estimate


# ---- measuring


def _measure(files: Sequence[Path], settings: Settings) -> Iterator[Score]:
    from tqdm import tqdm

    from img2img.tasks.denoise import Denoiser

    denoiser = Denoiser.from_pretrained(settings.model, device=settings.device, precision=settings.precision)
    denoise = denoise_with(denoiser)
    methods: dict[str, Estimate] = {
        OURS: _network(denoiser),
        "wavelet MAD (scikit-image)": wavelet_mad,
        "Chen, Zhu & Heng 2015": chen,
    }
    for file in tqdm(files, desc="images", disable=None):
        clean = read_levels(file)
        if min(clean.shape[:2]) < PATCH:
            raise ImageError(f"{file}: smaller than {PATCH}x{PATCH} pixels, the patches of Chen's estimator")
        if file is files[0]:
            for estimate in methods.values():
                estimate(clean)  # the first call is slower than the others, and not timed
        for case, sigma in product(settings.cases, settings.sigmas):
            noisy = add_noise(clean, sigma, case)
            best = psnr(clean, denoise(noisy, sigma), data_range=255)
            for name, estimate in methods.items():
                start = time.perf_counter()
                level = estimate(noisy)
                seconds = time.perf_counter() - start
                cost = best - psnr(clean, denoise(noisy, level), data_range=255)
                megapixels = clean.shape[0] * clean.shape[1] / 1e6
                yield Score(case, name, sigma, file.name, level, cost, seconds, megapixels)


def summarise(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Means over pictures for every case, method and true level, and the dearest picture; in the order measured."""
    groups: dict[tuple[str, str, float], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.case, score.method, score.sigma), []).append(score)
    rows = []
    for (case, method, sigma), own in groups.items():
        errors = np.array([100 * (score.estimate / sigma - 1) for score in own])
        worst = max(own, key=lambda score: score.cost)
        rows.append(
            {
                "case": case,
                "method": method,
                "sigma": sigma,
                "error_percent": float(np.abs(errors).mean()),
                "bias_percent": float(errors.mean()),
                "cost_db": float(np.mean([score.cost for score in own])),
                "worst": {"image": worst.image, "estimate": worst.estimate, "cost_db": worst.cost},
                "seconds_per_megapixel": sum(s.seconds for s in own) / sum(s.megapixels for s in own),
            }
        )
    return rows


def table(summary: Sequence[dict[str, Any]], case: str) -> str:
    """The Markdown table of one case: a row per method, a number per true level in each cell."""
    rows = [row for row in summary if row["case"] == case]
    sigmas = " / ".join(f"{sigma:g}" for sigma in dict.fromkeys(row["sigma"] for row in rows))
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        lines.append(
            [
                method,
                slashed((row["error_percent"] for row in own), digits=1),
                slashed((row["bias_percent"] for row in own), digits=1),
                slashed(row["cost_db"] for row in own),
                slashed(row["worst"]["cost_db"] for row in own),
                f"{np.mean([row['seconds_per_megapixel'] for row in own]):.2f}",
            ]
        )
    header = ["method", f"error, %, at {sigmas}", "bias, %", "cost, dB", "cost on the dearest image, dB", "s/megapixel"]
    return markdown_table(header, lines)
