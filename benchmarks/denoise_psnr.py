"""PSNR and SSIM of the denoiser beside what a user would pick instead: `img2img bench denoise`.

Protocol, that of the papers (DnCNN, FFDNet, DRUNet): to each clean picture, (H, W, C) or (H, W) in grey levels 0 to
255, noise `np.random.default_rng(0).normal(0, sigma, image.shape)` is added, the generator seeded anew each time.

- case `float`: the noisy values are neither clipped nor rounded.
- case `8bit`: they are clipped and rounded, as a PNG of a noisy picture is.

`psnr` is over all channels of the result as it is, unclipped; `psnr8` after clipping and rounding it to 8 bits, as a
file would hold it; `ssim` is scikit-image's of the 8-bit result. All are averaged over pictures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np

from img2img.data.folder import find_images
from img2img.errors import ImageError
from img2img.images import FORMATS, read_picture
from img2img.metrics import psnr, psnr8, ssim, to_8bit

from . import peers
from .peers import Denoise, Image
from .report import markdown_table, new_record, slashed, write_json

CASES = ("float", "8bit")
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png")
"""scikit-image's photographs that come inside its package. Read as files: its own functions may download."""


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of clean pictures (not searched recursively); scikit-image's own photographs if None.
        sigmas: noise levels in grey levels.
        models: names or files of denoisers; every shipped one if None.
        cases: of "float" and "8bit", the order of the tables.
        limit: only the first so many pictures, by name.
        auto: also let the models estimate the noise level themselves.
        tta: also with the self-ensemble of `img2img denoise --tta`.
        peers: also measure scikit-image's denoisers.
        bm3d: also measure BM3D (tens of seconds per picture).
        device, precision: as for `Denoiser.from_pretrained`.
        out: folder for `denoise.json`, `denoise_curve.png` and `denoise_pictures.png`; nothing is written if None.
    """

    data: Path | None = None
    sigmas: Sequence[float] = (15.0, 25.0, 50.0)
    models: Sequence[str] | None = None
    cases: Sequence[str] = CASES
    limit: int | None = None
    auto: bool = True
    tta: bool = False
    peers: bool = True
    bm3d: bool = False
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None


@dataclass(frozen=True)
class Method:
    """One row of the tables, and whether the side-by-side picture shows it."""

    name: str
    denoise: Denoise
    shown: bool = False


@dataclass(frozen=True)
class Score:
    """What one method did to one picture."""

    case: str
    method: str
    sigma: float
    image: str
    psnr: float
    psnr8: float
    ssim: float
    seconds: float
    megapixels: float


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the tables through ``echo``, write the files, and return what the JSON file holds.

    Raises:
        ImageError: there are no pictures, or one cannot be read (a mean over the rest would mislead).
        WeightsError: a model cannot be loaded.
        Img2ImgError: BM3D is asked for but not installed.
    """
    files = picture_files(settings.data, settings.limit)
    methods = _methods(settings)
    example = _example(files[0], methods, settings)
    scores = list(_measure(files, methods, settings))
    summary = summarise(scores)
    record = new_record("denoise", settings, files, summary=summary, scores=[asdict(score) for score in scores])
    for case in settings.cases:
        echo(f"\n{_title(case, files, settings.data)}\n\n{table(summary, case)}")
    if settings.out is not None:
        write_json(settings.out / "denoise.json", record)
        _draw_curve(summary, settings.cases[0], settings.out / "denoise_curve.png")
        _draw_example(example, settings.out / "denoise_pictures.png")
        echo("")
        for name in ("denoise.json", "denoise_curve.png", "denoise_pictures.png"):
            echo(str(settings.out / name))
    return record


def add_noise(clean: Image, sigma: float, case: str = "float", seed: int = 0) -> Image:
    """The protocol's noisy picture: always the same for the same shape, sigma, case and seed.

    Args:
        clean: (H, W, C) or (H, W), grey levels 0 to 255.
        sigma: standard deviation in grey levels.
        case: "float", or "8bit" to clip and round the result.
        seed: of the noise.
    """
    noisy = clean + np.random.default_rng(seed).normal(0, sigma, clean.shape)
    return np.clip(np.rint(noisy), 0, 255) if case == "8bit" else noisy


def summarise(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Means over pictures for every case, method and sigma, and the pictures with the best and the worst PSNR.

    Seconds per megapixel is all seconds over all megapixels, so large pictures count for what they cost.
    """
    rows = []
    for (case, method, sigma), group in groupby(sorted(scores, key=_row), key=_row):
        own = list(group)
        best, worst = max(own, key=lambda score: score.psnr), min(own, key=lambda score: score.psnr)
        rows.append(
            {
                "case": case,
                "method": method,
                "sigma": sigma,
                "psnr": float(np.mean([score.psnr for score in own])),
                "psnr8": float(np.mean([score.psnr8 for score in own])),
                "ssim": float(np.mean([score.ssim for score in own])),
                "seconds_per_megapixel": sum(s.seconds for s in own) / sum(s.megapixels for s in own),
                "best": {"image": best.image, "psnr": best.psnr},
                "worst": {"image": worst.image, "psnr": worst.psnr},
            }
        )
    # Sorting was for the groups only: tables keep the order in which methods and levels were asked for.
    order = list(dict.fromkeys(_row(score) for score in scores))
    return sorted(rows, key=lambda row: order.index((row["case"], row["method"], row["sigma"])))


def _row(score: Score) -> tuple[str, str, float]:
    return score.case, score.method, score.sigma


def table(summary: Sequence[dict[str, Any]], case: str) -> str:
    """The Markdown table of one case: a row per method, a number per noise level in each cell."""
    rows = [row for row in summary if row["case"] == case]
    sigmas = " / ".join(f"{sigma:g}" for sigma in dict.fromkeys(row["sigma"] for row in rows))
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        lines.append(
            [
                method,
                slashed(row["psnr"] for row in own),
                slashed(row["psnr8"] for row in own),
                slashed((row["ssim"] for row in own), digits=4),
                slashed(row["seconds_per_megapixel"] for row in own),
            ]
        )
    return markdown_table(["method", f"PSNR at {sigmas}", "after rounding to 8 bits", "SSIM", "s/megapixel"], lines)


def _title(case: str, files: Sequence[Path], data: Path | None) -> str:
    noise = {"float": "noise neither clipped nor rounded", "8bit": "noisy image clipped and rounded to 8 bits"}[case]
    source = "scikit-image's photographs" if data is None else data.name
    return f"{source}, {len(files)} images, {noise}"


def _methods(settings: Settings) -> list[Method]:
    methods = [Method("noisy", lambda noisy, sigma: noisy, shown=True)]
    if settings.peers:
        methods += [Method(name, denoise, name == "NL-means") for name, denoise in peers.scikit_image().items()]
    if settings.bm3d:
        methods += [Method(name, denoise) for name, denoise in peers.bm3d().items()]
    return methods + list(_models(settings))


def _models(settings: Settings) -> Iterator[Method]:
    """Each model told the true level, and estimating it, as a user gets it; blind ones have no other way."""
    from img2img.checkpoints import names
    from img2img.tasks.denoise import Denoiser

    for name in settings.models if settings.models is not None else names("denoise"):
        denoiser = Denoiser.from_pretrained(name, device=settings.device, precision=settings.precision)
        if denoiser.blind:
            yield Method(name, denoise_with(denoiser, "auto"), shown=True)
            if settings.tta:
                yield Method(f"{name}, tta", denoise_with(denoiser, "auto", tta=True))
            continue
        yield Method(name, denoise_with(denoiser), shown=not settings.auto)
        if settings.tta:
            yield Method(f"{name}, tta", denoise_with(denoiser, tta=True))
        if settings.auto:
            yield Method(f"{name}, auto", denoise_with(denoiser, "auto"), shown=True)


def denoise_with(denoiser: Any, level: Literal["auto"] | None = None, **how: Any) -> Denoise:
    """Our pipeline as a function of arrays in grey levels; the conversion both ways is part of its time.

    Args:
        denoiser: a Denoiser.
        level: `auto` lets it find the level, whatever the function is told.
        how: what else it takes, such as `tta` and `strength`.
    """

    def denoise(noisy: Image, sigma: float) -> Image:
        image = (np.atleast_3d(noisy).transpose(2, 0, 1) / 255.0).astype(np.float32)
        result = denoiser(image, sigma=sigma / 255.0 if level is None else level, **how)
        restored: Image = 255.0 * result.astype(np.float64).transpose(1, 2, 0).reshape(noisy.shape)
        return restored

    return denoise


def _measure(files: Sequence[Path], methods: Sequence[Method], settings: Settings) -> Iterator[Score]:
    from tqdm import tqdm

    for file in tqdm(files, desc="images", disable=None):
        clean = read_levels(file)
        for case in settings.cases:
            for method in methods:
                for sigma in settings.sigmas:
                    yield _score(method, clean, sigma, case, file.name)


def _score(method: Method, clean: Image, sigma: float, case: str, name: str) -> Score:
    noisy = add_noise(clean, sigma, case)
    start = time.perf_counter()
    result = method.denoise(noisy, sigma)
    seconds = time.perf_counter() - start
    layered = np.atleast_3d(clean).transpose(2, 0, 1), np.atleast_3d(result).transpose(2, 0, 1)
    return Score(
        case=case,
        method=method.name,
        sigma=sigma,
        image=name,
        psnr=psnr(clean, result, data_range=255),
        psnr8=psnr8(clean, result, data_range=255),
        ssim=ssim(*layered, data_range=255),
        seconds=seconds,
        megapixels=clean.shape[0] * clean.shape[1] / 1e6,
    )


def photographs() -> list[Path]:
    """The files of `PHOTOGRAPHS`."""
    import skimage

    return [Path(skimage.__file__).parent / "data" / name for name in PHOTOGRAPHS]


def picture_files(data: Path | None, limit: int | None) -> list[Path]:
    """The first ``limit`` pictures of a folder by name, or of scikit-image's photographs.

    Raises:
        ImageError: there are none.
    """
    files = photographs() if data is None else find_images(data, recursive=False, suffixes=FORMATS)
    if not files[:limit]:
        raise ImageError(f"{data}: no pictures in this folder")
    return files[:limit]


def read_levels(file: Path) -> Image:
    """(H, W, 3), or (H, W) for a grey picture; grey levels 0 to 255, of 16-bit files too; alpha is left out.

    Raises:
        ImageError: it cannot be read, or is too small for SSIM.
    """
    try:
        picture = read_picture(file)
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from error
    levels: Image = picture.samples * (255.0 / (2**picture.bits - 1))
    if min(levels.shape[:2]) < 7:
        raise ImageError(f"{file}: smaller than 7x7 pixels, the window of SSIM")
    return levels[..., 0] if levels.shape[2] == 1 else levels


def _example(file: Path, methods: Sequence[Method], settings: Settings) -> list[tuple[str, Image]]:
    """The panels of the side-by-side picture: label and (H, W[, 3]) image, at the middle noise level.

    Every method runs here for the first time, which is slower than it is afterwards and therefore not timed.
    """
    clean, sigma = read_levels(file), sorted(settings.sigmas)[len(settings.sigmas) // 2]
    noisy = add_noise(clean, sigma, settings.cases[-1])
    panels = []
    for method in methods:
        result = method.denoise(noisy, sigma)
        if method.shown:
            panels.append((f"{method.name}, {psnr(clean, result, data_range=255):.2f} dB", result))
    return [*panels, ("clean", clean)]


def _draw_example(panels: Sequence[tuple[str, Image]], path: Path, side: int = 192, zoom: int = 2) -> None:
    """The middle of each panel, enlarged without smoothing, its label below."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    height, width = (min(side, length) for length in panels[0][1].shape[:2])
    band, gap = 28, 8
    canvas = Pillow.new("RGB", (len(panels) * (width * zoom + gap) - gap, height * zoom + band), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(16)
    for index, (label, image) in enumerate(panels):
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        crop = Pillow.fromarray(to_8bit(image[top : top + height, left : left + width], data_range=255))
        corner = index * (width * zoom + gap)
        canvas.paste(crop.resize((width * zoom, height * zoom), Pillow.Resampling.NEAREST), (corner, 0))
        draw.text((corner + 4, height * zoom + 5), label, fill="black", font=font)
    canvas.save(path)


def _draw_curve(summary: Sequence[dict[str, Any]], case: str, path: Path) -> None:
    # The object interface, not pyplot: no window system is looked for, no global figure stays behind.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    rows = [row for row in summary if row["case"] == case]
    for method in dict.fromkeys(row["method"] for row in rows):
        points = sorted((row["sigma"], row["psnr"]) for row in rows if row["method"] == method)
        style = "--" if method.endswith(", auto") else "-"
        axes.plot(*zip(*points, strict=True), marker="o", linestyle=style, label=method)
    axes.set(xlabel="noise sigma, grey levels", ylabel="PSNR, dB", title=f"case {case}")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
