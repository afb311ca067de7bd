"""What the codec costs, beside CompressAI's networks: `img2img bench codec-speed`.

Whole commands are timed as a user meets them, in a process of their own, with files read and written; their parts in a
process that does the same and looks at the clock. Networks are timed in this process in turns on one picture, because
seconds on one machine say little: what travels is the ratio to CompressAI's architectures of the same run. Those have
their random weights and tables made from them: the same arithmetic as trained ones, but other symbols to code. They
run in fp32, as their users have them; ours in what `precision` says.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from img2img.checkpoints import load_checkpoint, names
from img2img.images import Picture, write_picture
from img2img.runtime import pick_device

from .report import markdown_table, new_record, write_json
from .speed import Cost, command_table, cost_of, installed_command, kmac_per_pixel, photograph_of_size

ARCHITECTURES = ("bmshj2018_factorized", "bmshj2018_hyperprior", "mbt2018_mean")
"""CompressAI's names, of which the second is what ratios compare with."""

COMPRESSAI_QUALITY = 4
"""Of their 8: the highest with the small networks (128 and 192 channels)."""

NOT_HERE = "are not installed (the extra compressai, in an environment of its own: it needs numpy below 2)"

LARGE = (12_250, 8_164)
"""Width and height of the large picture: 100 megapixels."""


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        models: names or files of codecs; every shipped one if None.
        quality: of our codecs, 1 to 100.
        rounds: how often each thing is timed; the median counts. The large picture is processed once.
        large: also measure commands on a picture of 100 megapixels.
        device, precision: as for `Compressor.from_pretrained`; commands run at their default precision.
        photo: width and height of an ordinary photograph.
        out: folder for `codec_speed.json`; nothing is written if None.
    """

    models: Sequence[str] | None = None
    quality: int = 50
    rounds: int = 5
    large: bool = False
    device: str = "auto"
    precision: str = "auto"
    photo: tuple[int, int] = (768, 512)
    out: Path | None = None


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the tables through ``echo``, write `codec_speed.json`, and return what it holds.

    Raises:
        WeightsError: a model cannot be loaded.
        Img2ImgError: a command failed.
    """
    models = list(settings.models if settings.models is not None else names("compress"))
    with tempfile.TemporaryDirectory() as folder:
        commands, parts = _time_processes(models, settings, Path(folder))
    networks = _time_networks(models, settings)
    record = new_record("codec-speed", settings, commands=commands, parts=parts, networks=networks)
    width, height = settings.photo
    echo(f"\nWhole commands, median of {settings.rounds}; the largest picture once\n\n{command_table(commands)}")
    echo(f"\nSeconds by part of a process of its own, {width}x{height}, median of {settings.rounds}\n")
    echo(_part_table(parts))
    echo(f"\nOne {width}x{height} picture in memory, in turns, median of {settings.rounds}; precision of ours")
    peers = any(row["network"] == _shown(ARCHITECTURES[1]) for row in networks)
    echo(f"{settings.precision}, CompressAI's networks {'untrained and in fp32' if peers else NOT_HERE}\n")
    echo(network_table(networks))
    if settings.out is not None:
        write_json(settings.out / "codec_speed.json", record)
        echo(f"\n{settings.out / 'codec_speed.json'}")
    return record


# ---- processes


class Once(NamedTuple):
    """What one process took, and the seconds of its parts."""

    cost: Cost
    parts: dict[str, float]


def once(codec: str, setting: float, source: Path, device: str, precision: str) -> tuple[Once, Once]:
    """Encode a picture in one process, and decode it in another; their files are put beside ``source``.

    Args:
        codec: of `codec_peers.peers`, or a model's name or file.
        setting: of the codec.
        source: a PNG file.
        device: as for `Compressor.from_pretrained`.
        precision: as for it, too.

    Raises:
        Img2ImgError: it failed.
    """
    coded, seconds = source.with_name("coded"), source.with_name("seconds.json")
    ways = (("encode", source, coded), ("decode", coded, source.with_name("decoded.png")))
    found = []
    for direction, start, end in ways:
        script = [sys.executable, "-m", "img2img.benchmarks.codec_once", direction, codec, f"{setting:g}"]
        cost = cost_of([*script, str(start), str(end), str(seconds), device, precision])
        found.append(Once(cost, json.loads(seconds.read_text(encoding="utf-8"))))
    return found[0], found[1]


def _time_processes(
    models: Sequence[str], settings: Settings, folder: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Commands and scripts of every model in turns; then each model's commands on the large picture."""
    photo = folder / "photo.png"
    _write_photograph(photo, *settings.photo)
    costs: dict[str, list[Cost]] = {}
    runs: dict[tuple[str, str], list[Once]] = {}
    for _ in range(settings.rounds):
        for model in models:
            for what, cost in _commands(model, photo, settings).items():
                costs.setdefault(what, []).append(cost)
            both = once(model, settings.quality, photo, settings.device, settings.precision)
            for direction, result in zip(("encode", "decode"), both, strict=True):
                runs.setdefault((model, direction), []).append(result)
    pixels = dict.fromkeys(costs, settings.photo[0] * settings.photo[1])
    if settings.large:
        large = folder / "large.png"
        _write_photograph(large, *LARGE)
        for model in models:
            found = _commands(model, large, settings)
            costs |= {f"{what}, 100 megapixels": [cost] for what, cost in found.items()}
            pixels |= {f"{what}, 100 megapixels": LARGE[0] * LARGE[1] for what in found}
    commands = [_command_row(what, own, pixels[what]) for what, own in costs.items()]
    return commands, [_part_row(model, direction, own) for (model, direction), own in runs.items()]


def _commands(model: str, picture: Path, settings: Settings) -> dict[str, Cost]:
    """Compress and decompress one file."""
    coded, decoded = picture.with_suffix(".i2i"), picture.with_name("decoded.png")
    common = ["--overwrite", "--device", settings.device]
    compress = ["--model", model, "--quality", str(settings.quality), *common]
    # Files name shipped weights themselves.
    decompress = common if model in names("compress") else ["--model", model, *common]
    return {
        f"compress, {model}": cost_of([installed_command(), "compress", str(picture), "-o", str(coded), *compress]),
        f"decompress, {model}": cost_of(
            [installed_command(), "decompress", str(coded), "-o", str(decoded), *decompress]
        ),
    }


def _write_photograph(path: Path, width: int, height: int) -> None:
    write_picture(Picture(photograph_of_size(width, height)), path, "png")


def _command_row(what: str, costs: Sequence[Cost], pixels: int) -> dict[str, Any]:
    seconds = statistics.median(cost.seconds for cost in costs)
    return {
        "what": what,
        "seconds": seconds,
        "seconds_per_megapixel": seconds / pixels * 1e6,
        "peak_mb": max(cost.peak_mb for cost in costs),
        "runs": [asdict(cost) for cost in costs],
    }


def _part_row(model: str, direction: str, runs: Sequence[Once]) -> dict[str, Any]:
    """Medians; what no part accounts for is Python's own start and end."""
    parts = {part: statistics.median(run.parts.get(part, 0.0) for run in runs) for part in runs[0].parts}
    rest = statistics.median(run.cost.seconds - sum(run.parts.values()) for run in runs)
    whole = statistics.median(run.cost.seconds for run in runs)
    return {"model": model, "direction": direction, "seconds": whole, "parts": {**parts, "Python": rest}}


def _part_table(rows: Sequence[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(part for row in rows for part in row["parts"]))
    lines = [
        [
            f"{row['model']}, {row['direction']}",
            f"{row['seconds']:.2f}",
            *(f"{row['parts'][part]:.3f}" if part in row["parts"] else "" for part in names),
        ]
        for row in rows
    ]
    return markdown_table(["model", "seconds", *names], lines)


# ---- networks in this process


class Both(NamedTuple):
    """The two directions of one contender, the picture and its bytes given, and kMAC per pixel of its transforms."""

    encode: Callable[[], object]
    decode: Callable[[], object]
    kmac: tuple[float, float]


def _time_networks(models: Sequence[str], settings: Settings) -> list[dict[str, Any]]:
    """Every network on one picture in turns, so that a busy moment of the machine hits all alike."""
    pixels = photograph_of_size(*settings.photo)
    contenders = _compressai(pixels, settings) | {model: _ours(model, pixels, settings) for model in models}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(settings.rounds):
        for name, both in contenders.items():
            seconds[name].append((_seconds(both.encode), _seconds(both.decode)))
    medians = {name: [statistics.median(way) for way in zip(*runs, strict=True)] for name, runs in seconds.items()}
    # Without CompressAI there is nothing to compare with.
    reference = medians.get(_shown(ARCHITECTURES[1]))
    return [
        {
            "network": name,
            "kmac_per_pixel": {"analysis": contenders[name].kmac[0], "synthesis": contenders[name].kmac[1]},
            "encode_seconds": encode,
            "decode_seconds": decode,
            "encode_hyperprior_is_1": encode / reference[0] if reference else None,
            "decode_hyperprior_is_1": decode / reference[1] if reference else None,
            "runs": seconds[name],
        }
        for name, (encode, decode) in medians.items()
    ]


def _seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _ours(model: str, pixels: Any, settings: Settings) -> Both:
    """From pixels to all bytes of a file, and back; loaded and warm."""
    from img2img.tasks.compress import Compressor, Decompressor, Target
    from img2img.tasks.compress.networks import codec_of

    compressor = Compressor.from_pretrained(model, device=settings.device, precision=settings.precision)
    decompressor = Decompressor(device=settings.device, precision=settings.precision, models=[model])
    encode = partial(compressor.compress, Picture(pixels), Target(quality=settings.quality))
    data = encode().data
    decompressor.decompress(data)
    return Both(encode, partial(decompressor.decompress, data), _kmac(codec_of(load_checkpoint(model))))


def _compressai(pixels: Any, settings: Settings) -> dict[str, Both]:
    """CompressAI's architectures: from pixels to entropy-coded strings, and back to pixels; warm.

    None where it is not installed.
    """
    try:
        from compressai import zoo
    except ImportError:
        return {}

    where = pick_device(settings.device)
    x = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
    found = {}
    for name in ARCHITECTURES:
        network = getattr(zoo, name)(quality=COMPRESSAI_QUALITY, metric="mse", pretrained=False).eval().to(where)
        network.update(force=True)
        encode = partial(_compressai_encode, network, x, where)
        coded = encode()
        decode = partial(_compressai_decode, network, coded)
        decode()
        found[_shown(name)] = Both(encode, decode, _kmac(network))
    return found


@torch.inference_mode()
def _compressai_encode(network: Any, x: torch.Tensor, where: torch.device) -> dict[str, Any]:
    coded: dict[str, Any] = network.compress(x.to(where).float() / 255)
    return coded


@torch.inference_mode()
def _compressai_decode(network: Any, coded: dict[str, Any]) -> Any:
    x_hat = network.decompress(coded["strings"], coded["shape"])["x_hat"]
    return (x_hat[0] * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


class _Transforms(nn.Module):
    """g_a, and g_s behind it if asked, of a codec of ours or of CompressAI's."""

    def __init__(self, codec: Any, both: bool) -> None:
        super().__init__()
        self.codec, self.both = codec, both

    def forward(self, x: torch.Tensor) -> Any:
        ours = hasattr(self.codec, "analysis")
        y = self.codec.analysis(x) if ours else self.codec.g_a(x)
        if not self.both:
            return y
        return self.codec.synthesis(y) if ours else self.codec.g_s(y)


def _kmac(codec: nn.Module) -> tuple[float, float]:
    """Thousands of multiplications per pixel of the analysis and of the synthesis, without entropy models."""
    square = torch.rand(1, 3, 256, 256, device=next(codec.parameters()).device)
    analysis, both = (kmac_per_pixel(_Transforms(codec, both), square) for both in (False, True))
    return analysis, both - analysis


def _shown(architecture: str) -> str:
    return architecture.replace("_", "-")


def network_table(rows: Sequence[dict[str, Any]]) -> str:
    """A row per network: its cost, its seconds, and these as a multiple of bmshj2018-hyperprior's."""
    return markdown_table(
        ["network", "kMAC/pixel", "encode / decode, s", "time, bmshj2018-hyperprior = 1"],
        [
            [
                row["network"],
                f"{row['kmac_per_pixel']['analysis']:.1f} / {row['kmac_per_pixel']['synthesis']:.1f}",
                f"{row['encode_seconds']:.3f} / {row['decode_seconds']:.3f}",
                " / ".join(f"{ratio:.2f}" for way in ("encode", "decode") if (ratio := row[f"{way}_hyperprior_is_1"])),
            ]
            for row in rows
        ],
    )
