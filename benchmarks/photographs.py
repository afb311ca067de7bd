"""What becomes of a user's own pictures, whose noise nobody knows: `img2img bench photo`.

Every kind is an 8-bit picture; each method finds the noise itself. The cameras are those that `denoise-photo` was
trained with (`img2img.data.camera`), so it knows them better than the others do: `img2img bench real` is the fair test.

- `clean`: the photograph as it is. It should come back (42 dB or more).
- `camera, low`, `medium`, `high`: taken by an imitated camera, at a variance of the shot noise at white of 0.001, 0.005
  and 0.02: about ISO 800, 3200 and 12800 of a camera with a large sensor.
- `worked over, light`, `medium`, `heavy`: the same three, then enlarged, sharpened, given grain or compressed.

What they are compared with is the mean of many shots of that camera, through the same changes of size and sharpness.
Besides PSNR and SSIM of the 8-bit result there is, with a `judge`, the distance in VGG-19's features: mean over relu1_1
to relu5_1 of |F - F_true|^2 / |F_true|^2, where detail that was wiped away counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from img2img.data.camera import MARGIN, CameraRange, photograph
from img2img.errors import ImageError
from img2img.metrics import psnr8, ssim, to_8bit

from . import blind
from .denoise_psnr import denoise_with, picture_files, read_levels
from .peers import Image
from .report import markdown_table, new_record, write_json
from .vgg import vgg_features

SHOT = {"low": 1e-3, "medium": 5e-3, "high": 2e-2}
WORKED = {"light": 1e-3, "medium": 5e-3, "heavy": 2e-2}
KINDS = ("clean", "camera", "worked over")
TOLD = "denoise-fast"
HELD_OUT = "photographs"  # the list that recipes of denoisers name
Distance = Callable[[Image, Image], float]


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of clean pictures (not searched recursively); scikit-image's own photographs if None.
        held_out: `data` is a folder of training pictures, of which those that no training sees are taken.
        kinds: of KINDS.
        models: names or files of denoisers.
        told: also TOLD at the best single level for each picture, found by looking at the truth.
        limit: only the first so many pictures, by name.
        peers: also measure scikit-image's denoisers, and OpenCV's if it is installed.
        bm3d: also measure BM3D (tens of seconds per picture).
        judge: file of a VGG-19, as for `img2img texture --descriptor vgg19`; no distance if None.
        device, precision: as for `Denoiser.from_pretrained`.
        out: folder for `photographs.json`; nothing is written if None.
    """

    data: Path | None = None
    held_out: bool = False
    kinds: Sequence[str] = KINDS
    models: tuple[str, ...] = ("denoise-photo", "denoise-fast")
    told: bool = False
    limit: int | None = None
    peers: bool = True
    bm3d: bool = False
    judge: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the tables through ``echo``, and return what the JSON holds.

    Raises:
        ImageError: there are no pictures, or one cannot be read.
        WeightsError: a denoiser, the estimator or the judge cannot be loaded.
        Img2ImgError: BM3D is asked for but not installed.
    """
    from tqdm import tqdm

    files = _files(settings)
    where = settings.device, settings.precision
    methods = blind.methods(settings.models, *where, settings.peers, settings.bm3d)
    told = denoise_with(blind.load(TOLD, *where)) if settings.told else None
    distance = _distance(settings.judge, settings.device) if settings.judge else None
    scores = []
    for number, file in enumerate(tqdm(files, desc="images", disable=None)):
        for kind, clean, picture in kinds(read_levels(file), settings.kinds, number):
            results = {name: denoise(picture) for name, denoise in methods.items()}
            if told:
                results[f"{TOLD}, told the best level"] = blind.told_best(told, picture, clean)
            scores += [_score(file.name, kind, name, clean, result, distance) for name, result in results.items()]
    record = new_record("photo", settings, files, scores=scores)
    for measure in MEASURES:
        if measure in scores[0]:
            echo(f"{MEASURES[measure][0]}\n\n{table(scores, measure)}\n")
    if settings.out is not None:
        write_json(settings.out / "photographs.json", record)
        echo(f"{settings.out / 'photographs.json'}")
    return record


def _files(settings: Settings) -> list[Path]:
    if not settings.held_out:
        return picture_files(settings.data, settings.limit)
    from img2img.training.recipe import read_list

    if settings.data is None:
        raise ImageError("held-out pictures need a folder of training pictures")
    files = [settings.data / name for name in sorted(read_list(settings.data / HELD_OUT, HELD_OUT))]
    files = [file for file in files if file.exists()][: settings.limit]
    if not files:
        raise ImageError(f"{settings.data}: none of the held-out training pictures is in this folder")
    return files


def kinds(clean: Image, wanted: Sequence[str] = KINDS, seed: int = 0) -> Iterator[tuple[str, Image, Image]]:
    """Each kind of picture: its name, what it should become, what it is; in grey levels, both of one size.

    The seed is another for each picture, so that they come from many cameras and programs; a picture's three strengths
    have it in common.
    """
    if "clean" in wanted:
        yield "clean", clean, clean
    if "camera" in wanted:
        for name, shot in SHOT.items():
            yield f"camera, {name}", *camera(clean, CameraRange(shot=(shot, shot)), seed)
    if "worked over" in wanted:
        for name, shot in WORKED.items():
            yield f"worked over, {name}", *camera(clean, CameraRange(shot=(shot, shot), worked=1), seed)


def camera(clean: Image, ranges: CameraRange, seed: int) -> tuple[Image, Image]:
    """The mean of many shots by an imitated camera, and one of them."""
    import torch

    levels = np.broadcast_to(np.atleast_3d(clean), (*clean.shape[:2], 3)).transpose(2, 0, 1) / 255
    scene = torch.nn.functional.pad(torch.from_numpy(levels.astype(np.float32))[None], (MARGIN,) * 4, mode="reflect")
    pair = photograph(scene, ranges, torch.Generator().manual_seed(seed))
    truth, noisy = (np.asarray(picture[0].permute(1, 2, 0).double().numpy() * 255) for picture in pair)
    noisy = np.rint(noisy)
    return (truth, noisy) if clean.ndim == 3 else (np.mean(truth, 2), np.rint(np.mean(noisy, 2)))


def _distance(judge: Path, device: str) -> Distance:
    """Distance in VGG-19's features of two pictures in grey levels."""
    import torch

    from img2img.metrics.features import feature_distance

    features = vgg_features(judge, device)

    def seen(picture: Image) -> Any:
        levels = np.broadcast_to(np.atleast_3d(picture), (*picture.shape[:2], 3)).clip(0, 255) / 255
        return features(torch.from_numpy(levels.transpose(2, 0, 1).astype(np.float32)))

    return lambda wanted, got: feature_distance(seen(got), seen(wanted))


def _score(image: str, kind: str, method: str, wanted: Image, got: Image, distance: Distance | None) -> dict[str, Any]:
    rounded = to_8bit(got, data_range=255).astype(np.float64)
    first, second = (np.atleast_3d(picture).transpose(2, 0, 1) for picture in (wanted, rounded))
    score = {"image": image, "kind": kind, "method": method, "psnr8": psnr8(wanted, got, data_range=255)}
    score["ssim"] = ssim(first, second, data_range=255)
    return score | ({"vgg": distance(wanted, rounded)} if distance else {})


MEASURES = {
    "psnr8": ("PSNR, dB", ".2f"),
    "ssim": ("SSIM", ".4f"),
    "vgg": ("distance in VGG-19's features", ".4f"),
}


def table(scores: list[dict[str, Any]], measure: str = "psnr8") -> str:
    """A row per method, a column per kind: mean over pictures, and of clean ones the worst, which is named, too."""
    names = list(dict.fromkeys(score["kind"] for score in scores))
    form = MEASURES[measure][1]
    lines = []
    for method in dict.fromkeys(score["method"] for score in scores):
        cells = [method]
        for kind in names:
            own = [s for s in scores if (s["kind"], s["method"]) == (kind, method)]
            cells.append(format(np.mean([s[measure] for s in own]), form))
            if kind == "clean":
                worst = min(own, key=lambda s: s["psnr8"])
                cells[-1] += f" ({worst['image']}: {worst[measure]:{form}})"
        lines.append(cells)
    return markdown_table(["method", *names], lines)
