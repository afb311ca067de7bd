"""Noisy pictures whose truth nobody knows, scans and films among them: `img2img bench unknown`.

Two numbers say what became of each, both taken where the picture as it is, smoothed, says that they belong:

- `noise left`: in the flattest tenth of its blocks of 16x16 pixels, the standard deviation of what is finer than a
  Gaussian of 3 pixels, in grey levels, mean over channels: 0 where all noise has gone.
- `edges kept`: at the steepest twentieth of its pixels, the slope of the lightness across the edge (along the gradient
  of the picture behind a Gaussian of 2 pixels), over that of the picture as it is. Noise has no part in it on average,
  since it is as often up as down along that direction: 1 where edges are as sharp as they were.

They cannot say whether a surface still has its texture. For that there is a sheet of crops, enlarged three times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

from img2img.core.luma import LUMA

from . import blind
from .denoise_psnr import picture_files, read_levels
from .peers import Image
from .real_noise import draw
from .report import markdown_table, new_record, write_json

BLOCK, FLAT, STEEP = 16, 0.1, 0.05
FINE, COARSE, SLOPE = 3.0, 2.0, 0.7  # deviations of Gaussians, in pixels


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of noisy pictures (not searched recursively).
        models: names or files of denoisers that find the noise themselves.
        strengths: as for `img2img denoise`; each is a row for each model.
        limit: only the first so many pictures, by name.
        peers: also measure scikit-image's denoisers, and OpenCV's if it is installed.
        bm3d: also measure BM3D (tens of seconds a picture).
        device, precision: as for `Denoiser.from_pretrained`.
        out: folder for `unknown_noise.json` and `unknown_noise.png`; nothing is written if None.
    """

    data: Path
    models: Sequence[str] = ("denoise-photo",)
    strengths: Sequence[float] = (1.0, 2.0)
    limit: int | None = None
    peers: bool = True
    bm3d: bool = False
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write the files, and return what the JSON file holds.

    Raises:
        ImageError: there are no pictures, or one cannot be read.
        WeightsError: a model cannot be loaded.
        Img2ImgError: BM3D is asked for but not installed.
    """
    from tqdm import tqdm

    files = picture_files(settings.data, settings.limit)
    methods = blind.methods((), settings.device, settings.precision, settings.peers, settings.bm3d)
    for model in settings.models:
        denoiser = blind.load(model, settings.device, settings.precision)
        methods |= {f"{model}, strength {s:g}": blind.finding(denoiser, strength=s) for s in settings.strengths}
    scores, rows = [], []
    for file in tqdm(files, desc="pictures", disable=None):
        noisy = read_levels(file)
        places = Places(noisy)
        results = {name: denoise(noisy) for name, denoise in methods.items()}
        scores += [{"image": file.name, "method": name} | places.measure(result) for name, result in results.items()]
        rows.append(list(results.values()))
    record = new_record("unknown", settings, files, scores=scores)
    echo(table(scores))
    if settings.out is not None:
        write_json(settings.out / "unknown_noise.json", record)
        draw(rows, list(methods), settings.out / "unknown_noise.png")
        echo(f"\n{settings.out / 'unknown_noise.json'}\n{settings.out / 'unknown_noise.png'}")
    return record


class Places:
    """Where a picture is flat and where it has edges, found in the picture as it is.

    Args:
        noisy: (H, W, 3) or (H, W) in grey levels, at least BLOCK wide and high.

    Raises:
        ValueError: it is smaller.
    """

    def __init__(self, noisy: Image) -> None:
        if min(noisy.shape[:2]) < BLOCK:
            raise ValueError(f"a picture is at least {BLOCK}x{BLOCK} pixels, not {noisy.shape[1]}x{noisy.shape[0]}")
        smooth = gaussian_filter(_lightness(noisy), FINE)
        spread = _blocks(smooth).std(-1)
        self.flat = spread <= np.quantile(spread, FLAT)
        across = _gradient(_lightness(noisy), COARSE)
        steepness = np.hypot(*across)
        self.steep = steepness >= np.quantile(steepness, 1 - STEEP)
        self.direction = across / np.maximum(steepness, 1e-9)
        self.before = self._slope(noisy)

    def measure(self, result: Image) -> dict[str, float]:
        """`noise_left` in grey levels and `edges_kept` of a result of the same size."""
        planes = np.atleast_3d(result).transpose(2, 0, 1)
        fine = [plane - gaussian_filter(plane, FINE) for plane in planes]
        left = [np.sqrt(np.mean(np.square(_blocks(plane)[self.flat]))) for plane in fine]
        return {"noise_left": float(np.mean(left)), "edges_kept": self._slope(result) / self.before}

    def _slope(self, picture: Image) -> float:
        slope = (_gradient(_lightness(picture), SLOPE) * self.direction).sum(0)
        return float(slope[self.steep].mean())


def _lightness(picture: Image) -> NDArray[np.float64]:
    return picture if picture.ndim == 2 else picture @ np.array(LUMA)


def _gradient(lightness: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Slopes down and across of a picture behind a Gaussian: (2, H, W)."""
    return np.stack([gaussian_filter(lightness, width, order=order) for order in ((1, 0), (0, 1))])


def _blocks(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whole blocks of a plane (H, W): (rows, columns, BLOCK * BLOCK)."""
    rows, columns = (side // BLOCK for side in plane.shape)
    cut = plane[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return cut.transpose(0, 2, 1, 3).reshape(rows, columns, -1)


def table(scores: Sequence[dict[str, Any]]) -> str:
    """The Markdown table: a row per method, means over pictures."""
    rows = []
    for method in dict.fromkeys(score["method"] for score in scores):
        own = [score for score in scores if score["method"] == method]
        left, kept = (float(np.mean([score[key] for score in own])) for key in ("noise_left", "edges_kept"))
        rows.append([method, f"{left:.2f}", f"{kept:.3f}"])
    return markdown_table(["method", "noise left, grey levels", "edges kept"], rows)
