"""What is seen of a picture in so many bytes, by each codec: `img2img bench codec-seen`.

Ours may be coded by each `tune`, and are decoded with each look: faithfully, and vividly (`View(look=1)`).
For each picture and each rate every codec makes the best file that is no larger than the rate allows: ours by
`Target(max_bytes=...)`, the others by the highest setting of theirs that fits. What is decoded from it is compared
with the original by PSNR, MS-SSIM, SSIMULACRA2 and the distance in features of a VGG-19, and put on a sheet beside it.
Over all pictures its patches are compared as crowds, too (`frechet_distance`): whether there are as many kinds of them.
A codec whose smallest file is too large has no result there; a row is of the pictures that all codecs have.

BD-rates say how many per cent more bytes than AVIF's a codec needs for the same value of each measure, on average over
the values that both reach at the rates at which all have all pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from img2img.choices import LOOKS, TUNES
from img2img.errors import UnreachableError
from img2img.images import Picture, read_8_bits
from img2img.metrics import ms_ssim, psnr
from img2img.metrics.bitrate import bd_rate
from img2img.metrics.features import Crowd, feature_distance, frechet_distance
from img2img.metrics.ms_ssim import SMALLEST
from img2img.metrics.ssimulacra2 import ssimulacra2

from .codec_peers import Fitting, Pixels, chosen_of, fitting
from .denoise_psnr import picture_files
from .report import markdown_table, new_record, write_json
from .sheets import contact_sheet
from .vgg import vgg_features

if TYPE_CHECKING:
    from torch import Tensor

RATES = (0.08, 0.15, 0.25)
SHEET_SIDE = 384  # pixels of a picture on a sheet
ORIGINAL, REFERENCE = "original", "AVIF"

RISING: dict[str, Callable[[float], float]] = {
    "psnr": float,
    "ms_ssim": lambda value: -10 * math.log10(1 - value),
    "ssimulacra2": float,
    "vgg": lambda value: -10 * math.log10(value),
    "frechet": lambda value: -10 * math.log10(value),
}
"""Each measure as a number that rises with the quality, MS-SSIM and the distances in features in dB."""


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of pictures; scikit-image's own photographs if None.
        models: names or files of our codecs; every shipped one if None.
        rates: bits per pixel, of whole files.
        limit: only the first so many pictures, by name.
        judge: file of a VGG-19; without it no distance in features.
        detail: weights that make detail up for the vivid look; those shipped if None.
        tunes: what ours are coded for, as `Compressor.compress` has it.
        looks: what they are decoded with, names of `choices.LOOKS`.
        slow_peers: also AVIF at speed 2, as it is and tuned for SSIM (minutes a picture).
        only: names of the peers to measure; all without.
        device, precision: as for `Compressor.from_pretrained`.
        out: folder for `codec_seen_NAME.json` and a sheet for each rate, NAME that of the data's folder or
            `skimage`; nothing is written if None.
    """

    data: Path | None = None
    models: Sequence[str] | None = None
    rates: Sequence[float] = RATES
    limit: int | None = None
    judge: Path | None = None
    detail: Path | None = None
    tunes: Sequence[str] = TUNES[:1]
    looks: Sequence[str] = ("faithful", "vivid")
    slow_peers: bool = False
    only: Sequence[str] = ()
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None


@dataclass(frozen=True)
class Seen:
    """What one codec made of one picture in so many bytes."""

    codec: str
    rate: float
    image: str
    bytes: int
    psnr: float
    ms_ssim: float | None
    ssimulacra2: float
    vgg: float | None


Eyes = Callable[[Pixels], "Sequence[Tensor] | None"]
"""From a picture to a VGG-19's features of it; to None without one."""
PATCHES = 3  # the layer of which patches are compared as crowds, relu4_1: what lies around each in 8 pixels each way


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the tables through ``echo``, write the files, and return what the JSON file holds.

    Raises:
        ImageError: there are no pictures, or one cannot be read.
        WeightsError: a model or the judge cannot be loaded.
        ImportError: the package ssimulacra2 is missing.
    """
    files = picture_files(settings.data, settings.limit)
    eyes = _eyes(settings)
    by_name = dict(coders(settings))
    seen: list[Seen] = []
    shown: dict[float, list[dict[str, Pixels]]] = {rate: [] for rate in settings.rates}
    crowds: dict[tuple[float, str], Crowd] = {}
    for file in files:
        pixels = read_8_bits(file)
        wanted = eyes(pixels)
        fits = {name: coder(pixels) for name, coder in by_name.items()}
        for rate in settings.rates:
            row = {ORIGINAL: pixels}
            found = {ORIGINAL: wanted}
            for name, fit in fits.items():
                coded = fit(math.floor(rate * pixels.shape[0] * pixels.shape[1] / 8))
                if coded is not None:
                    row[name], found[name] = coded[1], eyes(coded[1])
                    seen.append(_compare(name, rate, file.name, pixels, *coded, found[name], wanted))
            shown[rate].append(row)
            if len(found) == len(fits) + 1:  # as in `means`: the same pictures for all
                for name, features in found.items():
                    _count_in(crowds, (rate, name), features)
    summary = [row for rate in settings.rates for row in means([each for each in seen if each.rate == rate])]
    for means_of in summary:
        own, true = (crowds.get((means_of["rate"], name)) for name in (means_of["codec"], ORIGINAL))
        means_of["frechet"] = None if own is None or true is None else frechet_distance(own, true)
    record = new_record("codec-seen", settings, files, summary=summary, scores=list(map(asdict, seen)))
    source = "scikit-image's photographs" if settings.data is None else settings.data.name
    echo(f"\n{source}, {len(files)} images\n\n{table(summary)}")
    if rates := against_avif(summary):
        echo(f"\nBD-rate against {REFERENCE}, %\n\n{rates_table(rates)}")
    if settings.out is not None:
        name = f"codec_seen_{'skimage' if settings.data is None else settings.data.name}"
        write_json(settings.out / f"{name}.json", record)
        for rate, rows in shown.items():
            _sheet(rows, settings.out / f"{name}_{rate:g}.png")
        echo(f"\n{settings.out}")
    return record


def coders(settings: Settings) -> Iterator[tuple[str, Fitting]]:
    """What makes the best file of so many bytes, by name: ours, for each tune and with each look, and the peers."""
    from img2img.checkpoints import names

    for name in settings.models if settings.models is not None else names("compress"):
        for tune in settings.tunes:
            yield from _ours(name, tune, settings)
    yield from chosen_of(fitting(settings.slow_peers), settings.only).items()


def _ours(name: str, tune: str, settings: Settings) -> Iterator[tuple[str, Fitting]]:
    """One of our codecs, tuned by one measure: the same files with each look."""
    from img2img.tasks.compress import Compressor, Decompressor, Target, View

    computing: dict[str, Any] = {"device": settings.device, "precision": settings.precision}
    compressor = Compressor.from_pretrained(name, **computing)
    decompressor = Decompressor(models=[name, *([settings.detail] if settings.detail else [])], **computing)
    latest: list[tuple[Pixels, int, bytes | None]] = []  # of one picture, so that it is coded once for all looks

    def coded(pixels: Pixels, most: int) -> bytes | None:
        for same, size, data in latest:
            if same is pixels and size == most:
                return data
        try:
            data = compressor.compress(Picture(pixels), Target(max_bytes=most), tune=tune).data
        except UnreachableError:
            data = None
        latest[:] = [each for each in latest if each[0] is pixels] + [(pixels, most, data)]
        return data

    def decoded(look: float | None, pixels: Pixels, most: int) -> tuple[int, Pixels] | None:
        data = coded(pixels, most)
        return None if data is None else (len(data), decompressor.decompress(data, view=View(look=look)).samples)

    def seen(look: str) -> Fitting:
        return lambda pixels: partial(decoded, LOOKS[look], pixels)

    for look in settings.looks:
        words = [name, *([tune] if tune != TUNES[0] else []), *([look] if LOOKS[look] != View().look else [])]
        yield ", ".join(words), seen(look)


def _eyes(settings: Settings) -> Eyes:
    """What the judge sees of pictures; nothing without one."""
    if settings.judge is None:
        return lambda _: None
    import torch

    features = vgg_features(settings.judge, settings.device)
    return lambda pixels: features(torch.from_numpy(_planes(pixels) / np.float32(255)))


def _count_in(
    crowds: dict[tuple[float, str], Crowd], key: tuple[float, str], features: Sequence[Tensor] | None
) -> None:
    if features is not None:
        patches = features[PATCHES]
        crowds.setdefault(key, Crowd(patches.shape[1])).add(patches)


def _planes(pixels: Pixels) -> np.ndarray:
    """(3, H, W) of (H, W, 1 or 3)."""
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).transpose(2, 0, 1))


def _compare(
    codec: str,
    rate: float,
    image: str,
    pixels: Pixels,
    size: int,
    decoded: Pixels,
    found: Sequence[Tensor] | None,
    wanted: Sequence[Tensor] | None,
) -> Seen:
    planes = _planes(pixels), _planes(decoded)
    return Seen(
        codec=codec,
        rate=rate,
        image=image,
        bytes=size,
        psnr=psnr(*planes, data_range=255),
        ms_ssim=ms_ssim(*planes, data_range=255) if min(pixels.shape[:2]) >= SMALLEST else None,
        ssimulacra2=ssimulacra2(*planes, data_range=255),
        vgg=None if found is None or wanted is None else feature_distance(found, wanted),
    )


def means(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    """A row for each codec at one rate, over the pictures that all codecs have; `missing` counts those one has not."""
    codecs = list(dict.fromkeys(each.codec for each in seen))
    images = set.intersection(*({e.image for e in seen if e.codec == codec} for codec in codecs)) if codecs else set()
    rows = []
    for codec in codecs:
        own = [each for each in seen if each.codec == codec]
        common = [each for each in own if each.image in images]
        row: dict[str, Any] = {"codec": codec, "rate": own[0].rate, "images": len(common)}
        row["missing"] = len({each.image for each in seen}) - len(own)
        for name in ("bytes", "psnr", "ms_ssim", "ssimulacra2", "vgg"):
            values = [getattr(each, name) for each in common]
            row[name] = float(np.mean(values)) if values and None not in values else None
        rows.append(row)
    return rows


def against_avif(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """BD-rates by each measure, of rows of `means` at several rates; None where codecs have no values in common.

    Only of those rates at which every codec has every picture: means over other pictures are no points of one curve.
    """
    most = max((row["images"] for row in rows), default=0)
    short = {row["rate"] for row in rows if row["images"] < most or row["missing"]}
    rows = [row for row in rows if row["rate"] not in short]
    codecs = list(dict.fromkeys(row["codec"] for row in rows))
    if REFERENCE not in codecs or len({row["rate"] for row in rows}) < 2 or find_spec("bjontegaard") is None:
        return []

    def rate(codec: str, measure: str) -> float | None:
        lines = [_line([row for row in rows if row["codec"] == each], measure) for each in (REFERENCE, codec)]
        return bd_rate(*lines)

    return [{"codec": codec} | {name: rate(codec, name) for name in RISING} for codec in codecs if codec != REFERENCE]


def _line(rows: Sequence[dict[str, Any]], measure: str) -> list[tuple[float, float]]:
    """Bytes and quality of one codec, as long as both rise."""
    line: list[tuple[float, float]] = []
    for row in rows:
        if row.get(measure) is None:
            return []
        point = row["bytes"], RISING[measure](row[measure])
        if not line or (point[0] > line[-1][0] and point[1] > line[-1][1]):
            line.append(point)
    return line


def rates_table(rates: Sequence[dict[str, Any]]) -> str:
    """Of what `against_avif` gives."""
    cells = [[row["codec"], *("" if row[name] is None else f"{row[name]:+.1f}" for name in RISING)] for row in rates]
    return markdown_table(["codec", "PSNR", "MS-SSIM", "SSIMULACRA2", "VGG", "patches"], cells)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All rates below each other."""
    columns = (
        *(("bytes", ".0f"), ("psnr", ".2f"), ("ms_ssim", ".4f"), ("ssimulacra2", ".1f")),
        *(("vgg", ".3f"), ("frechet", ".3f")),
    )
    heads = ["bpp", "codec", "images", "bytes", "PSNR", "MS-SSIM", "SSIMULACRA2", "VGG", "patches"]
    cells = [
        [
            f"{row['rate']:g}",
            row["codec"],
            str(row["images"]) + (f" ({row['missing']} impossible)" if row["missing"] else ""),
            *("" if row.get(name) is None else format(row[name], form) for name, form in columns),
        ]
        for row in rows
    ]
    return markdown_table(heads, cells)


def _sheet(rows: Sequence[dict[str, Pixels]], path: Path) -> None:
    """The middle of each picture, pixel for pixel, by each codec that all rows have."""
    names = [name for name in rows[0] if all(name in row for row in rows)]
    contact_sheet([[_middle(row[name]) for name in names] for row in rows], names, path, SHEET_SIDE)


def _middle(pixels: Pixels) -> np.ndarray:
    height, width = (min(SHEET_SIDE, side) for side in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    part = pixels[top : top + height, left : left + width]
    return part[..., 0] if part.shape[2] == 1 else part
