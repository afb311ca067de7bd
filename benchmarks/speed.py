"""What the denoiser costs: start-up, one photograph, 24 megapixels, and per pixel beside others: `img2img bench speed`.

Whole commands are timed as a user meets them, in a process of their own, with files read and written. Methods are timed
in this process in turns on one picture, because seconds on one machine say little: what travels is the ratio to
scikit-image's methods and to a network of FFDNet's shape, measured in the same run. Needs Linux or macOS.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from img2img.checkpoints import load_checkpoint
from img2img.errors import Img2ImgError
from img2img.images import Picture, read_picture, write_picture
from img2img.runtime import keep_big_buffers, pick_device, pick_precision

from . import peers
from .denoise_psnr import add_noise, photographs
from .report import markdown_table, new_record, write_json

SIGMA = 25.0


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        models: names or files of denoisers; every shipped one if None.
        device: as for `Denoiser.from_pretrained`.
        precisions: of the networks timed in this process; commands run at their default.
        peers: also time scikit-image's denoisers.
        rounds: how often each thing is timed; the median counts. The large picture is processed once.
        photo: width and height of an ordinary photograph.
        large: width and height of a large one.
        out: folder for `speed.json`; nothing is written if None.
    """

    models: Sequence[str] | None = None
    device: str = "auto"
    precisions: Sequence[str] = ("fp32", "bf16")
    peers: bool = True
    rounds: int = 5
    photo: tuple[int, int] = (768, 512)
    large: tuple[int, int] = (6000, 4000)
    out: Path | None = None


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds by the clock, the largest memory resident at once, in MB, and processor seconds."""

    seconds: float
    peak_mb: float
    cpu_seconds: float = 0.0


def run(settings: Settings, echo: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure, print the tables through ``echo``, write `speed.json`, and return what it holds.

    Raises:
        WeightsError: a model cannot be loaded.
        Img2ImgError: a command failed.
    """
    from img2img.checkpoints import names

    models = list(settings.models if settings.models is not None else names("denoise"))
    with tempfile.TemporaryDirectory() as folder:
        commands = _time_commands(models, settings, Path(folder))
    methods = _time_methods(models, settings)
    record = new_record("speed", settings, commands=commands, methods=methods)
    echo(f"\nWhole commands, median of {settings.rounds}; the largest picture once\n\n{command_table(commands)}")
    echo(f"\nOne {settings.photo[0]}x{settings.photo[1]} picture in memory, in turns, median of {settings.rounds}\n")
    echo(method_table(methods))
    if settings.out is not None:
        write_json(settings.out / "speed.json", record)
        echo(f"\n{settings.out / 'speed.json'}")
    return record


# ---- whole commands


def _time_commands(models: Sequence[str], settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """Start-up, then each model on the photograph and on the large picture."""
    img2img = installed_command()
    rows = [_row("img2img --help", [cost_of([img2img, "--help"]) for _ in range(settings.rounds)], 0)]
    for (width, height), rounds in ((settings.photo, settings.rounds), (settings.large, 1)):
        source, target = folder / f"{width}x{height}.png", folder / "out.png"
        write_noisy(source, width, height)
        for model in models:
            denoise = [img2img, "denoise", str(source), "-o", str(target), "--overwrite"]
            denoise += ["--model", model, "--device", settings.device]
            costs = [cost_of(denoise) for _ in range(rounds)]
            rows.append(_row(f"img2img denoise --model {model}, {width}x{height}", costs, width * height))
    return rows


def _row(name: str, costs: Sequence[Cost], pixels: int) -> dict[str, Any]:
    seconds = statistics.median(cost.seconds for cost in costs)
    return {
        "what": name,
        "seconds": seconds,
        "seconds_per_megapixel": seconds / pixels * 1e6 if pixels else None,
        "peak_mb": max(cost.peak_mb for cost in costs),
        "runs": [asdict(cost) for cost in costs],
    }


def command_table(rows: Sequence[dict[str, Any]]) -> str:
    """A row per whole command: seconds, seconds per megapixel where pixels count, and largest memory."""

    def per_megapixel(row: dict[str, Any]) -> str:
        return "" if row["seconds_per_megapixel"] is None else f"{row['seconds_per_megapixel']:.2f}"

    return markdown_table(
        ["command", "seconds", "s/megapixel", "peak memory, MB"],
        [[row["what"], f"{row['seconds']:.2f}", per_megapixel(row), f"{row['peak_mb']:.0f}"] for row in rows],
    )


# A process of its own, and a small one: what a process is charged as its largest memory includes that of the one that
# started it, up to the moment the new program takes over, and this one has torch and pictures in memory.
_LAUNCHER = """
import os, sys, time
start = time.perf_counter()
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet), 0)
cpu = usage.ru_utime + usage.ru_stime
print(time.perf_counter() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status), cpu)
"""


def cost_of(command: Sequence[str]) -> Cost:
    """Run a command, its first word a path, without its standard output.

    Raises:
        Img2ImgError: it did not end with exit code 0; what it last said on standard error.
    """
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command]
    done = subprocess.run(launch, capture_output=True, text=True, check=False)
    words = done.stdout.split() or ["0", "0", "-1", "0"]
    seconds, peak, code, cpu = (float(word) for word in words)
    if code:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Img2ImgError(f"{' '.join([Path(command[0]).name, *command[1:]])} failed: {last}")
    return Cost(seconds, peak * (1 if sys.platform == "darwin" else 1024) / 1e6, cpu)  # bytes there, KiB on Linux


def installed_command() -> str:
    """The `img2img` of this Python, else the one on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "img2img"
    found = str(beside) if beside.exists() else shutil.which("img2img")
    if found is None:
        raise Img2ImgError("the command img2img is not installed: pip install -e .")
    return found


def photograph_of_size(width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3): scikit-image's cup of coffee, mirrored at its edges until it fills the size."""
    coffee: NDArray[np.uint8] = read_picture(photographs()[-1]).samples
    return coffee[_mirrored(height, coffee.shape[0])][:, _mirrored(width, coffee.shape[1])]


def _mirrored(length: int, period: int) -> NDArray[np.int64]:
    """0, 1, ... period - 1, period - 1, ... 1, 0, 0, 1, ... of the given length."""
    there_and_back = np.concatenate([np.arange(period), np.arange(period)[::-1]])
    return np.resize(there_and_back, length)


def write_noisy(path: Path, width: int, height: int, sigma: float = SIGMA, seed: int = 0) -> None:
    """A photograph of that size with the noise of the benchmark, in the format of the path's suffix."""
    noisy = add_noise(photograph_of_size(width, height).astype(np.float64), sigma, "8bit", seed).astype(np.uint8)
    write_picture(Picture(noisy), path, path.suffix[1:])


def write_many_noisy(
    folder: Path, count: int, size: tuple[int, int], sigma: float = SIGMA, suffix: str = ".png"
) -> Path:
    """So many of `write_noisy`, no two alike, in a new folder, which is returned."""
    folder.mkdir(parents=True)
    for number in range(count):
        write_noisy(folder / f"{number:04d}{suffix}", *size, sigma, number)
    return folder


# ---- methods in this process


class FFDNetShaped(nn.Module):
    """A network of the shape, and so the cost, of FFDNet for colour; its weights are random.

    Half resolution by pixel-unshuffle, a channel of noise level, 12 convolutions 3x3 of 96 channels with ReLU.

    Shape:
        image: (B, 3, H, W), H and W even; returns the same shape.

    References: Zhang et al. 2018, arXiv:1710.04026, Fig. 1.
    """

    def __init__(self) -> None:
        super().__init__()
        widths = [3 * 4 + 1, *[96] * 11, 3 * 4]
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise(widths):
            layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, image: Tensor) -> Tensor:
        """Run the network at the noise level of the benchmark."""
        halves = functional.pixel_unshuffle(image, 2)
        level = torch.full_like(halves[:, :1], SIGMA / 255)
        return functional.pixel_shuffle(self.body(torch.cat((halves, level), 1)), 2)


def kmac_per_pixel(network: nn.Module, *inputs: Tensor) -> float:
    """Thousands of multiplications in convolutions, linear layers and GDN, per pixel of the first input.

    Args:
        network: run once, without gradients.
        inputs: its arguments, the first (B, C, H, W). Choose H and W that need no padding, or padding counts.
    """
    total = 0

    def count(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.ConvTranspose2d):  # each input value meets the whole kernel of its group
            total += args[0].numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Conv2d | nn.Linear):  # each output value is one scalar product
            total += output.numel() * layer.weight[0].numel()
        elif type(layer).__name__ == "GDN":  # ours or CompressAI's: a 1x1 convolution that is no layer of its own
            total += output.numel() * output.shape[1]

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.inference_mode():
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    batch, _, height, width = inputs[0].shape
    return total / (batch * height * width) / 1000


def _time_methods(models: Sequence[str], settings: Settings) -> list[dict[str, Any]]:
    """Every method on one noisy picture in turns, so that a busy moment of the machine hits all alike."""
    width, height = settings.photo
    noisy = add_noise(photograph_of_size(width, height).astype(np.float64), SIGMA)
    methods = _contenders(models, settings, noisy)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for _, method in methods.values():
        method()  # the first call is slower: kernels are chosen, memory is fetched
    for _ in range(settings.rounds):
        for name, (_, method) in methods.items():
            start = time.perf_counter()
            method()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    reference = medians[f"FFDNet's shape, {settings.precisions[0]}"]
    return [
        {
            "method": name,
            "kmac_per_pixel": methods[name][0],
            "seconds": median,
            "seconds_per_megapixel": median / (width * height) * 1e6,
            "ffdnet_is_1": median / reference,
            "runs": seconds[name],
        }
        for name, median in medians.items()
    ]


def _contenders(
    models: Sequence[str], settings: Settings, noisy: NDArray[np.float64]
) -> dict[str, tuple[float | None, Callable[[], object]]]:
    """By name: thousands of multiplications per pixel (networks only), and a call that denoises ``noisy``."""
    from img2img.tasks.denoise import Denoiser
    from img2img.tasks.denoise.networks import BLIND, UNET

    image = (noisy.transpose(2, 0, 1) / 255).astype(np.float32)
    square = torch.rand(1, 3, 256, 256)  # a multiple of every network's stride
    found: dict[str, tuple[float | None, Callable[[], object]]] = {}
    for precision in settings.precisions:
        found[f"FFDNet's shape, {precision}"] = (
            kmac_per_pixel(FFDNetShaped(), square),
            _ffdnet(torch.from_numpy(image), settings.device, precision),
        )
    for model in models:
        for precision in settings.precisions:
            denoiser = Denoiser.from_pretrained(model, settings.device, precision, engine="torch")
            network = (BLIND if denoiser.blind else UNET).build(load_checkpoint(model))
            cost = kmac_per_pixel(network, square, torch.full((1, 1, 1, 1), SIGMA / 255))
            if denoiser.blind:
                found[f"{model}, {precision}"] = cost, partial(denoiser, image)
                continue
            found[f"{model}, {precision}"] = cost, partial(denoiser, image, sigma=SIGMA / 255)
            found[f"{model}, {precision}, sigma auto"] = None, partial(denoiser, image)
    if settings.peers:
        for name, denoise in peers.scikit_image().items():
            found[name] = None, partial(denoise, noisy, SIGMA)
    return found


def _ffdnet(image: Tensor, device: str, precision: str) -> Callable[[], Tensor]:
    """FFDNet's shape, run as `Denoiser` runs its own network: same memory layout, precision, allocator, transfers."""
    keep_big_buffers()
    where = pick_device(device)
    dtype = pick_precision(precision, where)
    network = FFDNetShaped().eval().to(where).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def denoise() -> Tensor:
        noisy = image[None].to(where, memory_format=torch.channels_last)
        with torch.autocast(where.type, dtype, enabled=dtype != torch.float32):
            result: Tensor = network(noisy)
        return result.float().cpu()

    return denoise


def method_table(rows: Sequence[dict[str, Any]]) -> str:
    """A row per network or filter, computed in this process."""
    return markdown_table(
        ["method", "kMAC/pixel", "s/megapixel", "time, FFDNet's shape = 1"],
        [
            [
                row["method"],
                "" if row["kmac_per_pixel"] is None else f"{row['kmac_per_pixel']:.1f}",
                f"{row['seconds_per_megapixel']:.2f}",
                f"{row['ffdnet_is_1']:.2f}",
            ]
            for row in rows
        ],
    )
