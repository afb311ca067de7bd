"""What is lost when a picture is coded again and again at one quality: `img2img bench codec-rounds`.

Each codec decodes its own file and codes what came out, so many times; PSNR is of the result against the original.
Others have the setting whose first file is nearest in size to that of the first of our codecs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from img2img.images import read_8_bits
from img2img.metrics import psnr

from .codec_peers import PictureCodec, Pixels, chosen_of, peers
from .codec_rate_distortion import our_codec
from .denoise_psnr import picture_files
from .report import markdown_table, new_record, write_json

SHOWN = (1, 2, 3, 5, 10, 20, 50)


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of pictures; scikit-image's own photographs if None.
        models: names or files of our codecs; every shipped one if None.
        qualities: of our codecs, 1 to 100.
        rounds: how often each picture is coded.
        side: only the middle of each picture, so many pixels wide and high; all of it if None.
        limit: only the first so many pictures, by name.
        peers: also measure the codecs of Pillow and imagecodecs.
        only: names of the peers to measure; all without.
        device, precision: as for `Compressor.from_pretrained`.
        out: folder for `codec_rounds.json`; nothing is written if None.
    """

    data: Path | None = None
    models: Sequence[str] | None = None
    qualities: Sequence[float] = (50, 80)
    rounds: int = 10
    side: int | None = None
    limit: int | None = None
    peers: bool = True
    only: Sequence[str] = ()
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write the file, and return what it holds.

    Raises:
        ImageError: there are no pictures, or one cannot be read.
        WeightsError: a model cannot be loaded.
        Img2ImgError: a codec failed, or `only` names one that is not here.
    """
    from img2img.checkpoints import names

    files = picture_files(settings.data, settings.limit)
    pictures = [_middle(read_8_bits(file), settings.side) for file in files]
    models = settings.models if settings.models is not None else names("compress")
    ours = [our_codec(name, settings.qualities, 1, settings.device, settings.precision) for name in models]
    others = list(chosen_of({c.name: c for c in peers()}, settings.only).values()) if settings.peers else []
    rows = []
    for quality in settings.qualities:
        first = [len(ours[0].encode(pixels, quality)) for pixels in pictures]
        codecs = [(codec, [quality] * len(pictures)) for codec in ours]
        for codec in others:
            nearest = [_nearest(codec, pixels, size) for pixels, size in zip(pictures, first, strict=True)]
            codecs.append((codec, nearest))
        for codec, chosen in codecs:
            each = [repeated(codec, s, p, settings.rounds) for s, p in zip(chosen, pictures, strict=True)]
            decibels, sizes = np.array(each).mean(0).T.tolist()
            rows.append({"codec": codec.name, "quality": quality, "psnr": decibels, "bytes": sizes})
    record = new_record("codec-rounds", settings, files, rows=rows)
    echo(table(rows))
    if settings.out is not None:
        write_json(settings.out / "codec_rounds.json", record)
    return record


def repeated(codec: PictureCodec, setting: float, pixels: Pixels, rounds: int) -> list[tuple[float, int]]:
    """PSNR against the original, and bytes, of each round."""
    found, picture = [], pixels
    for _ in range(rounds):
        data = codec.encode(picture, setting)
        picture = codec.decode(data)[..., : pixels.shape[2]]  # formats without grey
        found.append((psnr(picture, pixels, data_range=255), len(data)))
    return found


def _nearest(codec: PictureCodec, pixels: Pixels, size: int) -> float:
    """The setting whose file is nearest to a size."""
    return min(codec.settings, key=lambda setting: abs(len(codec.encode(pixels, setting)) - size))


def _middle(pixels: Pixels, side: int | None) -> Pixels:
    if side is None:
        return pixels
    top, left = (max(0, length - side) // 2 for length in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def table(rows: Sequence[dict[str, Any]]) -> str:
    """PSNR after some of the rounds, and the bytes of the first and the last."""
    shown = [number for number in SHOWN if number <= len(rows[0]["psnr"])]
    return markdown_table(
        ["quality of ours", "codec", *(f"dB after {number}" for number in shown), "bytes, first", "last"],
        [
            [
                f"{row['quality']:g}",
                row["codec"],
                *(f"{row['psnr'][number - 1]:.2f}" for number in shown),
                *(f"{row['bytes'][at]:.0f}" for at in (0, -1)),
            ]
            for row in rows
        ],
    )
