"""What becomes of a user's own pictures, whose noise level nobody knows: `img2img bench photo`.

Every kind is an 8-bit picture; the level is estimated by each method itself:

- `clean`: the photograph as it is. It should come back (42 dB or more).
- `camera`: noise whose variance rises with brightness, 0.8 of it from the light, 12 grey levels at mid grey.
- `camera, JPEG 90`: the same, saved as a JPEG of quality 90.
- `camera, enlarged 1.5`: the same noise, after which the picture was made 1.5 times as large (as were all sides of
  `clean` that it is compared with): neighbouring pixels share their noise, as after demosaicing.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from img2img.metrics import psnr8, to_8bit

from .denoise_psnr import denoise_with, picture_files, read_levels
from .peers import Denoise, Image, scikit_image
from .report import markdown_table, new_record, write_json

SIGMA, SHOT_SHARE = 12.0, 0.8


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of clean pictures (not searched recursively); scikit-image's own photographs if None.
        models: names or files of denoisers.
        limit: only the first so many pictures, by name.
        device, precision: as for `Denoiser.from_pretrained`.
        out: folder for `photographs.json`; nothing is written if None.
    """

    data: Path | None = None
    models: tuple[str, ...] = ("denoise-fast", "denoise-best")
    limit: int | None = None
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print a table of PSNR (after rounding to 8 bits) through ``echo``, and return what the JSON holds.

    Raises:
        ImageError: there are no pictures, or one cannot be read.
        WeightsError: a denoiser or the estimator cannot be loaded.
    """
    from tqdm import tqdm

    files = picture_files(settings.data, settings.limit)
    methods = _methods(settings)
    scores = []
    for file in tqdm(files, desc="images", disable=None):
        for kind, clean, picture in kinds(read_levels(file)):
            scores.append(_score(file.name, kind, "as it is", clean, picture))
            for name, denoise in methods.items():
                scores.append(_score(file.name, kind, name, clean, denoise(picture, 0.0)))
    record = new_record("photo", settings, files, scores=scores)
    echo(table(scores))
    if settings.out is not None:
        write_json(settings.out / "photographs.json", record)
        echo(f"\n{settings.out / 'photographs.json'}")
    return record


def kinds(clean: Image) -> Iterator[tuple[str, Image, Image]]:
    """Each kind of picture: its name, what it should become, what it is; in grey levels, both of one size."""
    noisy = camera(clean)
    yield "clean", clean, clean
    yield "camera", clean, noisy
    yield "camera, JPEG 90", clean, jpeg(noisy, 90)
    yield "camera, enlarged 1.5", enlarged(clean), enlarged(noisy)


def camera(clean: Image) -> Image:
    """8-bit picture with noise of variance SIGMA^2 (SHOT_SHARE x / 127.5 + 1 - SHOT_SHARE)."""
    variance = SIGMA**2 * (SHOT_SHARE * clean / 127.5 + 1 - SHOT_SHARE)
    noise = np.random.default_rng(0).normal(0, 1, clean.shape) * np.sqrt(variance)
    return _levels(Pillow.fromarray(to_8bit(clean + noise, data_range=255)))


def jpeg(picture: Image, quality: int) -> Image:
    """The picture after Pillow's JPEG."""
    stream = io.BytesIO()
    Pillow.fromarray(to_8bit(picture, data_range=255)).save(stream, "JPEG", quality=quality)
    return _levels(Pillow.open(stream))


def enlarged(picture: Image, factor: float = 1.5) -> Image:
    """The picture resized by Pillow's bicubic filter."""
    image = Pillow.fromarray(to_8bit(picture, data_range=255))
    return _levels(image.resize((round(image.width * factor), round(image.height * factor)), Pillow.Resampling.BICUBIC))


def _levels(image: Pillow.Image) -> Image:
    return np.asarray(image).astype(np.float64)


def _methods(settings: Settings) -> dict[str, Denoise]:
    from skimage.restoration import estimate_sigma

    from img2img.tasks.denoise import Denoiser

    nl_means = scikit_image()["NL-means"]

    def with_wavelet_level(picture: Image, _sigma: float) -> Image:
        axis = -1 if picture.ndim == 3 else None
        return nl_means(picture, float(estimate_sigma(picture, average_sigmas=True, channel_axis=axis)))

    methods: dict[str, Denoise] = {"NL-means with scikit-image's estimate": with_wavelet_level}
    for model in settings.models:
        denoiser = Denoiser.from_pretrained(model, device=settings.device, precision=settings.precision)
        methods[f"{model}, auto"] = denoise_with(denoiser, "auto")
    return methods


def _score(image: str, kind: str, method: str, wanted: Image, got: Image) -> dict[str, Any]:
    return {"image": image, "kind": kind, "method": method, "psnr8": psnr8(wanted, got, data_range=255)}


def table(scores: list[dict[str, Any]]) -> str:
    """A row per method, a column per kind: mean over pictures, and for `clean` the lowest too."""
    names = list(dict.fromkeys(score["kind"] for score in scores))
    lines = []
    for method in dict.fromkeys(score["method"] for score in scores):
        cells = [method]
        for kind in names:
            own = [s["psnr8"] for s in scores if (s["kind"], s["method"]) == (kind, method)]
            cells.append(f"{np.mean(own):.2f}" + (f" (lowest {min(own):.2f})" if kind == "clean" else ""))
        lines.append(cells)
    return markdown_table(["method", *names], lines)
