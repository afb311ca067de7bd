"""What becomes of a user's own pictures, whose noise nobody knows: `img2img bench photo`.

Every kind is an 8-bit picture; each method finds the noise itself. The cameras are those that `denoise-photo` was
trained with (`img2img.data.camera`), so it knows them better than the others do: `img2img bench real` is the fair test.

- `clean`: the photograph as it is. It should come back (42 dB or more).
- `camera, low`, `medium`, `high`: taken by an imitated camera, at a variance of the shot noise at white of 0.001, 0.005
  and 0.02: about ISO 800, 3200 and 12800 of a camera with a large sensor.
- `worked over, light`, `medium`, `heavy`: the same three, then enlarged, sharpened, given grain or compressed.

What they are compared with is the mean of many shots of that camera, through the same changes of size and sharpness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from img2img.data.camera import MARGIN, CameraRange, photograph
from img2img.metrics import psnr8

from .denoise_psnr import denoise_with, picture_files, read_levels
from .peers import Denoise, Image, scikit_image
from .report import markdown_table, new_record, write_json

SHOT = {"low": 1e-3, "medium": 5e-3, "high": 2e-2}
WORKED = {"light": 1e-3, "medium": 5e-3, "heavy": 2e-2}


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
    models: tuple[str, ...] = ("denoise-photo", "denoise-fast")
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
    yield "clean", clean, clean
    for name, shot in SHOT.items():
        yield f"camera, {name}", *camera(clean, CameraRange(shot=(shot, shot)))
    for name, shot in WORKED.items():
        yield f"worked over, {name}", *camera(clean, CameraRange(shot=(shot, shot), worked=1))


def camera(clean: Image, ranges: CameraRange) -> tuple[Image, Image]:
    """The mean of many shots by an imitated camera, and one of them; the same for the same picture and ranges."""
    import torch

    levels = np.broadcast_to(np.atleast_3d(clean), (*clean.shape[:2], 3)).transpose(2, 0, 1) / 255
    scene = torch.nn.functional.pad(torch.from_numpy(levels.astype(np.float32))[None], (MARGIN,) * 4, mode="reflect")
    pair = photograph(scene, ranges, torch.Generator().manual_seed(0))
    truth, noisy = (np.asarray(picture[0].permute(1, 2, 0).double().numpy() * 255) for picture in pair)
    noisy = np.rint(noisy)
    return (truth, noisy) if clean.ndim == 3 else (np.mean(truth, 2), np.rint(np.mean(noisy, 2)))


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
