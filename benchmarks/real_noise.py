"""Real camera noise, where the truth is the mean of many shots of the same scene: `img2img bench real`.

A folder holds pairs `NAME_real.*` (a camera's file) and `NAME_mean.*` (the truth), as the crops of Nam et al. 2016 do.
All figures are of 8-bit results. Nobody tells a method how strong the noise is: ours find it themselves, the others
take scikit-image's usual estimate. One row says what `denoise-fast`, which knows white noise, reaches if told the
single best level for each picture, found by looking at the truth: no user can do that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from img2img.data.folder import find_images
from img2img.errors import ImageError
from img2img.images import FORMATS
from img2img.metrics import psnr8, ssim, to_8bit

from . import blind
from .denoise_psnr import denoise_with, read_levels
from .peers import Image
from .report import markdown_table, new_record, write_json
from .sheets import contact_sheet

REAL, TRUTH = "_real", "_mean"
CROP, ZOOM = 96, 3  # of the contact sheet


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of pairs (searched recursively).
        models: names or files of denoisers that find the noise themselves.
        told: name or file of the denoiser that is told the best single level; none if empty.
        limit: only the first so many pairs, by name.
        peers: also measure scikit-image's denoisers, and OpenCV's if it is installed.
        bm3d: also measure BM3D (tens of seconds per picture).
        device, precision: as for `Denoiser.from_pretrained`.
        out: folder for `real_noise.json` and `real_noise.png`, crops enlarged 3 times; nothing is written if None.
    """

    data: Path
    models: Sequence[str] = ("denoise-photo", "denoise-fast")
    told: str = "denoise-fast"
    limit: int | None = None
    peers: bool = True
    bm3d: bool = False
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None


@dataclass(frozen=True)
class Score:
    """What one method made of one picture; seconds include all it needs to find the level (not for `told`)."""

    method: str
    image: str
    psnr8: float
    ssim: float
    seconds: float


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write the files, and return what the JSON file holds.

    Raises:
        ImageError: there are no pairs, or one cannot be read.
        WeightsError: a model cannot be loaded.
        Img2ImgError: BM3D is asked for but not installed.
    """
    from tqdm import tqdm

    pairs = find_pairs(settings.data)[: settings.limit]
    where = settings.device, settings.precision
    methods = blind.methods(settings.models, *where, settings.peers, settings.bm3d)
    told = denoise_with(blind.load(settings.told, *where)) if settings.told else None
    scores, crops = [], []
    for name, real, mean in tqdm(pairs, desc="pictures", disable=None):
        noisy, truth = read_levels(real), read_levels(mean)
        if noisy.shape != truth.shape:
            raise ImageError(f"{real} and {mean} differ in size")
        row = [noisy]
        for method, denoise in methods.items():
            begun = time.perf_counter()
            result = denoise(noisy)
            scores.append(_score(method, name, truth, result, time.perf_counter() - begun))
            row.append(result)
        if told:
            result = blind.told_best(told, noisy, truth)
            scores.append(_score(f"{settings.told}, told the best level", name, truth, result, 0.0))
        crops.append([noisy, *row[2:], truth])
    record = new_record(
        "real", settings, [real for _, real, _ in pairs], summary=summarise(scores), scores=[asdict(s) for s in scores]
    )
    echo(table(record["summary"]))
    if settings.out is not None:
        write_json(settings.out / "real_noise.json", record)
        picture = settings.out / "real_noise.png"
        draw(crops, ["as it is", *list(methods)[1:], "mean of many"], picture)
        echo(f"\n{settings.out / 'real_noise.json'}\n{picture}")
    return record


def find_pairs(folder: Path) -> list[tuple[str, Path, Path]]:
    """Name, noisy file and truth of each pair below a folder, by name.

    Raises:
        ImageError: there are none, or one lacks its other half.
    """
    files = find_images(folder, recursive=True, suffixes=FORMATS)
    truths = {file.with_name(file.stem.removesuffix(TRUTH)): file for file in files if file.stem.endswith(TRUTH)}
    noisy = {file.with_name(file.stem.removesuffix(REAL)): file for file in files if file.stem.endswith(REAL)}
    if alone := sorted(truths.keys() ^ noisy.keys()):
        raise ImageError(f"{alone[0]}: of {REAL} and {TRUTH} only one is there")
    if not noisy:
        raise ImageError(f"{folder}: no pairs NAME{REAL}.* and NAME{TRUTH}.*")
    return [(place.name, noisy[place], truths[place]) for place in sorted(noisy)]


def _score(method: str, name: str, truth: Image, result: Image, seconds: float) -> Score:
    rounded = to_8bit(result, data_range=255).astype(np.float64)
    wanted, got = (np.atleast_3d(picture).transpose(2, 0, 1) for picture in (truth, rounded))
    return Score(method, name, psnr8(truth, result, data_range=255), ssim(wanted, got, data_range=255), seconds)


def summarise(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """For each method: means, and the picture that it brought the least compared with the picture as it is."""
    before = {score.image: score.psnr8 for score in scores if score.method == "as it is"}
    rows = []
    for method in dict.fromkeys(score.method for score in scores):
        own = [score for score in scores if score.method == method]
        worst = min(own, key=lambda score: score.psnr8 - before[score.image])
        rows.append(
            {
                "method": method,
                "psnr8": float(np.mean([score.psnr8 for score in own])),
                "ssim": float(np.mean([score.ssim for score in own])),
                "worst_gain": {"image": worst.image, "decibels": worst.psnr8 - before[worst.image]},
                "seconds": float(np.mean([score.seconds for score in own])),
            }
        )
    return rows


def table(summary: Sequence[dict[str, Any]]) -> str:
    """The Markdown table: a row per method."""
    rows = [
        [
            row["method"],
            f"{row['psnr8']:.2f}",
            f"{row['ssim']:.4f}",
            f"{row['worst_gain']['decibels']:+.2f}",
            f"{row['seconds']:.2f}" if row["seconds"] else "-",
        ]
        for row in summary
    ]
    return markdown_table(["method", "PSNR, dB", "SSIM", "worst gain, dB", "s/picture"], rows)


def draw(rows: Sequence[Sequence[Image]], heads: Sequence[str], path: Path) -> None:
    """The middle of each picture, enlarged without smoothing."""

    def crop(picture: Image) -> Any:
        top, left = (max(0, (side - CROP) // 2) for side in picture.shape[:2])
        return to_8bit(picture[top : top + CROP, left : left + CROP], data_range=255)

    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet([[crop(picture) for picture in row] for row in rows], heads, path, CROP * ZOOM)
