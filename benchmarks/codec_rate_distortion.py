"""Rate and distortion of the codec beside what a user would pick instead: `img2img bench codec`.

Everything is of real files: bits per pixel are 8 times the bytes of the whole file, header included, over the pixels of
the picture; PSNR, from one mean square over pixels and channels, and MS-SSIM are of the decoded 8-bit picture. All
three are averaged over pictures for each setting of a codec, which gives its curve.

BD-rate is how many per cent more bytes a codec's curve needs than JPEG 4:2:0's for the same PSNR (or MS-SSIM in dB), on
average over the qualities that both reach; Akima's interpolation. Negative is better.

Pictures are what `denoise_psnr.picture_files` finds, as 8-bit grey or RGB without alpha, profile and EXIF.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from img2img.choices import LOOKS, TUNES
from img2img.images import Picture, read_8_bits, write_picture
from img2img.metrics import ms_ssim, psnr
from img2img.metrics.bitrate import bd_rate, bits_per_pixel
from img2img.metrics.ms_ssim import SMALLEST

from .codec_peers import PUBLISHED, REFERENCE, PictureCodec, Pixels, chosen_of, peers
from .denoise_psnr import picture_files
from .report import markdown_table, new_record, write_json

RATES = (0.25, 0.5, 1.0)
"""Bits per pixel at which the table shows PSNR and MS-SSIM."""

EFFORT, PLAIN = ", effort ", ", plain"
QUALITIES = (1, 12, 23, 34, 45, 56, 67, 78, 89, 100)


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: folder of pictures (not searched recursively); scikit-image's own photographs if None.
        models: names or files of codecs; every shipped one if None.
        qualities: at which our codecs are measured, 1 to 100.
        efforts: of our encoder, each as for `Compressor.compress`.
        tunes: likewise.
        plain: also what our files of effort 1 are by the synthesis alone, which nothing restores.
        limit: only the first so many pictures, by name.
        peers: also measure the codecs of Pillow and imagecodecs.
        slow_peers: also AVIF at its best for PSNR (seconds per picture).
        only: names of the peers to measure; all without.
        device, precision: as for `Compressor.from_pretrained`.
        out: folder for `codec.json` and `codec_curve.png`; nothing is written if None.
    """

    data: Path | None = None
    models: Sequence[str] | None = None
    qualities: Sequence[float] = QUALITIES
    efforts: Sequence[int] = (1,)
    tunes: Sequence[str] = TUNES[:1]
    plain: bool = False
    limit: int | None = None
    peers: bool = True
    slow_peers: bool = False
    only: Sequence[str] = ()
    device: str = "auto"
    precision: str = "auto"
    out: Path | None = None


@dataclass(frozen=True)
class Score:
    """What one codec did to one picture at one setting."""

    codec: str
    setting: float
    image: str
    bytes: int
    bpp: float
    psnr: float
    ms_ssim: float | None
    encode_seconds: float
    decode_seconds: float
    megapixels: float


@dataclass(frozen=True)
class Point:
    """Means over pictures at one setting; MS-SSIM is None where a picture is too small for it."""

    setting: float | None
    bpp: float
    psnr: float
    ms_ssim: float | None

    @property
    def ms_ssim_db(self) -> float | None:
        """-10 log10(1 - MS-SSIM)."""
        if self.ms_ssim is None:
            return None
        return -10 * math.log10(1 - self.ms_ssim) if self.ms_ssim < 1 else math.inf


@dataclass(frozen=True)
class Curve:
    """A codec's points, and what follows from them.

    Attributes:
        bd_rate, bd_rate_ms_ssim: per cent more bytes than the reference's; None without one, or where the two share no
            range of quality.
        encode_seconds, decode_seconds: per megapixel, over all pictures and settings; None for published curves.
        peak_mb: largest memory resident in a process that encodes, and in one that decodes, the first picture.
    """

    codec: str
    points: Sequence[Point]
    published: bool = False
    encode_seconds: float | None = None
    decode_seconds: float | None = None
    bd_rate: float | None = None
    bd_rate_ms_ssim: float | None = None
    peak_mb: dict[str, float] = field(default_factory=dict)


def run(settings: Settings, echo: Callable[[str], None] = print, others: Sequence[PictureCodec] = ()) -> dict[str, Any]:
    """Measure, print the table through ``echo``, write the files, and return what the JSON file holds.

    Args:
        settings: what to measure.
        echo: takes the text.
        others: codecs of your own, measured too.

    Raises:
        ImageError: there are no pictures, or one cannot be read.
        WeightsError: a model cannot be loaded.
        Img2ImgError: a codec failed, or `only` names one that is not here.
    """
    files = picture_files(settings.data, settings.limit)
    found = {peer.name: peer for peer in (peers(settings.slow_peers) if settings.peers else ())}
    known = [*chosen_of(found, settings.only).values(), *_models(settings)]
    scores = list(_measure(files, [*known, *others]))
    curves = summarise(scores)
    if settings.data is not None and settings.data.resolve().name == "kodak" and len(files) == 24:
        curves += published()
    curves = [_with_peak(curve, known, files[0], settings) for curve in compare(curves)]
    record = new_record(
        "codec", settings, files, curves=[_plain(curve) for curve in curves], scores=list(map(asdict, scores))
    )
    source = "scikit-image's photographs" if settings.data is None else settings.data.name
    echo(f"\n{source}, {len(files)} images; BD-rate against {REFERENCE}\n\n{table(curves)}")
    if not _has_bjontegaard():
        echo("\nNo BD-rates without the package bjontegaard: pip install 'img2img-suite[bench]'")
    if settings.out is not None:
        write_json(settings.out / "codec.json", record)
        _draw(curves, settings.out / "codec_curve.png")
        echo(f"\n{settings.out / 'codec.json'}\n{settings.out / 'codec_curve.png'}")
    return record


# ---- measuring


def _models(settings: Settings) -> Iterator[PictureCodec]:
    from img2img.checkpoints import names

    for name in settings.models if settings.models is not None else names("compress"):
        for effort in settings.efforts:
            for tune in settings.tunes:
                codec = our_codec(name, settings.qualities, effort, settings.device, settings.precision, tune)
                also = "" if tune == TUNES[0] else f", {tune}"
                with_effort = "" if effort == 1 else f"{EFFORT}{effort}"
                yield replace(codec, name=f"{name}{with_effort}{also}")
        if settings.plain:
            codec = our_codec(name, settings.qualities, 1, settings.device, settings.precision, look="plain")
            yield replace(codec, name=f"{name}{PLAIN}")


def our_codec(
    name: str,
    qualities: Sequence[float],
    effort: int,
    device: str,
    precision: str,
    tune: str = TUNES[0],
    look: str = "faithful",
) -> PictureCodec:
    """Our codec as functions of pixels and bytes; the model is loaded here."""
    from img2img.tasks.compress import Compressor, Decompressor, Target, View

    compressor = Compressor.from_pretrained(name, device=device, precision=precision)
    decompressor = Decompressor(device=device, precision=precision, models=[name])
    view = View(look=LOOKS[look])

    def encode(pixels: Pixels, quality: float) -> bytes:
        return compressor.compress(Picture(pixels), Target(quality=quality), effort, tune).data

    def decode(data: bytes) -> Pixels:
        return decompressor.decompress(data, view=view).samples

    return PictureCodec(name, qualities, encode, decode)


def _measure(files: Sequence[Path], codecs: Sequence[PictureCodec]) -> Iterator[Score]:
    from tqdm import tqdm

    first = read_8_bits(files[0])
    for codec in codecs:  # the first call is slower than the others, and not timed
        codec.decode(codec.encode(first, middle(codec)))
    for file in tqdm(files, desc="images", disable=None):
        pixels = read_8_bits(file)
        for codec in codecs:
            for setting in codec.settings:
                yield score(codec, setting, pixels, file.name)


def middle(codec: PictureCodec) -> float:
    """The setting in the middle of a codec's list."""
    return codec.settings[len(codec.settings) // 2]


def score(codec: PictureCodec, setting: float, pixels: Pixels, image: str) -> Score:
    """Encode and decode one picture, and compare."""
    start = time.perf_counter()
    data = codec.encode(pixels, setting)
    encoded = time.perf_counter()
    decoded = codec.decode(data)
    end = time.perf_counter()
    if pixels.shape[2] == 1 and decoded.shape[2] == 3:  # formats without grey
        decoded = np.asarray(Pillow.fromarray(decoded).convert("L"))[..., None]
    height, width = pixels.shape[:2]
    planes = pixels.transpose(2, 0, 1), decoded.transpose(2, 0, 1)
    return Score(
        codec=codec.name,
        setting=setting,
        image=image,
        bytes=len(data),
        bpp=bits_per_pixel(len(data), width, height),
        psnr=psnr(pixels, decoded, data_range=255),
        ms_ssim=ms_ssim(*planes, data_range=255) if min(height, width) >= SMALLEST else None,
        encode_seconds=encoded - start,
        decode_seconds=end - encoded,
        megapixels=height * width / 1e6,
    )


def _with_peak(curve: Curve, known: Sequence[PictureCodec], file: Path, settings: Settings) -> Curve:
    """With the memory of a process that only encodes ``file``, and of one that only decodes it."""
    from img2img.checkpoints import names

    from .codec_speed import once

    codec = next((codec for codec in known if codec.name == curve.codec), None)
    ours = settings.models if settings.models is not None else names("compress")
    base, variant, _ = curve.codec.partition(", ")
    if codec is None or (variant and base in ours):  # the process below codes as usual
        return curve
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "picture.png"
        write_picture(Picture(read_8_bits(file)), source, "png")
        encoded, decoded = once(codec.name, middle(codec), source, settings.device, settings.precision)
    return replace(curve, peak_mb={"encode": encoded.cost.peak_mb, "decode": decoded.cost.peak_mb})


# ---- curves


def summarise(scores: Sequence[Score]) -> list[Curve]:
    """A curve per codec, a point per setting, in the order measured."""
    curves = []
    for codec in dict.fromkeys(score.codec for score in scores):
        own = [score for score in scores if score.codec == codec]
        points = []
        for setting in dict.fromkeys(score.setting for score in own):
            at = [score for score in own if score.setting == setting]
            similarities = [score.ms_ssim for score in at if score.ms_ssim is not None]
            points.append(
                Point(
                    setting,
                    float(np.mean([score.bpp for score in at])),
                    float(np.mean([score.psnr for score in at])),
                    float(np.mean(similarities)) if len(similarities) == len(at) else None,
                )
            )
        megapixels = sum(score.megapixels for score in own)
        curves.append(
            Curve(
                codec,
                points,
                encode_seconds=sum(score.encode_seconds for score in own) / megapixels,
                decode_seconds=sum(score.decode_seconds for score in own) / megapixels,
            )
        )
    return curves


def published() -> list[Curve]:
    """The curves of `PUBLISHED`."""
    return [
        Curve(name, [Point(None, *numbers) for numbers in points], published=True) for name, points in PUBLISHED.items()
    ]


def compare(curves: Sequence[Curve]) -> list[Curve]:
    """The curves with their BD-rates against `REFERENCE`, where it was measured."""
    reference = next((curve for curve in curves if curve.codec == REFERENCE), None)
    if reference is None or not _has_bjontegaard():
        return list(curves)
    return [
        replace(
            curve,
            bd_rate=bd_rate(_line(reference, "psnr"), _line(curve, "psnr")),
            bd_rate_ms_ssim=bd_rate(_line(reference, "ms_ssim_db"), _line(curve, "ms_ssim_db")),
        )
        for curve in curves
    ]


def _has_bjontegaard() -> bool:
    from importlib.util import find_spec

    return find_spec("bjontegaard") is not None


def _line(curve: Curve, measure: str) -> list[tuple[float, float]]:
    """Bits per pixel and quality, of those points that cost more and are better than all before, as curves must be."""
    line: list[tuple[float, float]] = []
    for point in sorted(curve.points, key=lambda point: point.bpp):
        quality = getattr(point, measure)
        if quality is None or not math.isfinite(quality):
            continue
        if not line or (point.bpp > line[-1][0] and quality > line[-1][1]):
            line.append((point.bpp, quality))
    return line


def at_rate(curve: Curve, bpp: float, measure: str = "psnr") -> float | None:
    """Quality at a rate between two points, by a straight line over the logarithm of the rate; None outside."""
    line = _line(curve, measure)
    if not line or not line[0][0] <= bpp <= line[-1][0]:
        return None
    rates, qualities = zip(*line, strict=True)
    return float(np.interp(math.log(bpp), np.log(rates), qualities))


# ---- showing


def table(curves: Sequence[Curve]) -> str:
    """The Markdown table: a row per codec."""
    rates = " / ".join(f"{rate:g}" for rate in RATES)
    header = [
        "codec",
        "BD-rate, %",
        "by MS-SSIM, %",
        f"PSNR at {rates} bpp",
        "MS-SSIM, dB",
        "encode / decode, ms/megapixel",
        "peak memory, MB",
    ]
    return markdown_table(header, map(_cells, curves))


def _cells(curve: Curve) -> list[str]:
    seconds = (curve.encode_seconds, curve.decode_seconds)
    return [
        f"{curve.codec} (published)" if curve.published else curve.codec,
        _number(curve.bd_rate, 1),
        _number(curve.bd_rate_ms_ssim, 1),
        " / ".join(_number(at_rate(curve, rate), 2) for rate in RATES),
        " / ".join(_number(at_rate(curve, rate, "ms_ssim_db"), 2) for rate in RATES),
        "" if curve.published else " / ".join(_number(1000 * value if value else None, 0) for value in seconds),
        " / ".join(_number(value, 0) for value in curve.peak_mb.values()),
    ]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _plain(curve: Curve) -> dict[str, Any]:
    """As JSON, with the numbers of the table."""
    at = {
        f"{rate:g}": {"psnr": at_rate(curve, rate), "ms_ssim_db": at_rate(curve, rate, "ms_ssim_db")} for rate in RATES
    }
    return asdict(curve) | {"at_bpp": at}


def _draw(curves: Sequence[Curve], path: Path) -> None:
    # The object interface, not pyplot: no window system is looked for, no global figure stays behind.
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    measures = {"psnr": "PSNR, dB", "ms_ssim_db": "MS-SSIM, dB"}
    shown = [name for name in measures if any(_line(curve, name) for curve in curves)]
    figure = Figure(figsize=(7.5 * len(shown), 6), layout="constrained")
    for axes, measure in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        axes.set_prop_cycle(color=colormaps["tab20"](range(20)))  # more than ten curves, each in a colour of its own
        for curve in curves:
            line = [point for point in _line(curve, measure) if point[0] <= 2.2]
            if line:
                label = f"{curve.codec} (published)" if curve.published else curve.codec
                axes.plot(*zip(*line, strict=True), "--" if curve.published else "-", marker=".", label=label)
        axes.set(xlabel="bits per pixel of the whole file", ylabel=measures[measure], xlim=(0, 2.2))
        axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
