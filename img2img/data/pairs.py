"""Pairs of pictures, A to be turned into B: read from files, or made of photographs."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..errors import ImageError
from ..images import FORMATS, read_8_bits
from .folder import find_images
from .noise import jpeg, to_eight_bits, to_grey

Kind = Literal["gray", "edges", "blank", "down", "jpeg"]
Lines = Literal["canny", "dog", "xdog"]
SMALLEST = 16  # pixels a side of a photograph that a pair can be made of
SHRINK = 4
JPEG_QUALITY = (10, 40)
HOLE = (0.25, 0.5)  # sides of the hole as a share of the picture's


@dataclass(frozen=True)
class PairFile:
    """Where a pair lies.

    Args:
        a: file of A, or of both: A on the left, B on the right.
        b: file of B, or None.
    """

    a: Path
    b: Path | None = None


def find_pairs(folder: Path) -> tuple[list[PairFile], list[str]]:
    """The pairs of a folder, sorted, and a line for each picture without a partner.

    A folder that holds folders A and B has its pairs there, under equal names (extensions may differ); in any other
    each picture is a pair, A left and B right. Folders in folders are read, too.

    Raises:
        ImageError: a folder cannot be listed, or only one of A and B is there.
    """
    there = [side for side in ("A", "B") if (folder / side).is_dir()]
    if len(there) == 1:
        missing = "B" if there == ["A"] else "A"
        raise ImageError(f"{folder} holds a folder {there[0]}, but no folder {missing} with the partners")
    if not there:
        return [PairFile(path) for path in find_images(folder, recursive=True, suffixes=FORMATS)], []
    problems: list[str] = []
    sides: list[dict[Path, Path]] = []
    for side in ("A", "B"):
        named: dict[Path, Path] = {}
        for path in find_images(folder / side, recursive=True, suffixes=FORMATS):
            name = path.relative_to(folder / side).with_suffix("")
            if name in named:
                problems.append(f"{path}: {named[name].name} has the same name, so its partner is not clear")
            named.setdefault(name, path)
        sides.append(named)
    a, b = sides
    problems += [f"{a[name]}: no partner in {folder / 'B'}" for name in sorted(a.keys() - b.keys())]
    problems += [f"{b[name]}: no partner in {folder / 'A'}" for name in sorted(b.keys() - a.keys())]
    return [PairFile(a[name], b[name]) for name in sorted(a.keys() & b.keys())], problems


def read_pair(pair: PairFile) -> tuple[np.ndarray, np.ndarray]:
    """A and B, (H, W, 1 or 3) uint8 each.

    Raises:
        ImageError: a file cannot be read, A and B differ in size, or a side-by-side picture has an odd width; one line
            that names the files.
    """
    first = read_8_bits(pair.a)
    height, width = first.shape[:2]
    if pair.b is None:
        if width % 2:
            raise ImageError(f"{pair.a}: {width}x{height} is no pair side by side: its width is odd")
        return first[:, : width // 2], first[:, width // 2 :]
    second = read_8_bits(pair.b)
    if first.shape[:2] != second.shape[:2]:
        other = f"{second.shape[1]}x{second.shape[0]}"
        raise ImageError(f"{pair.a} is {width}x{height}, but its partner {pair.b} is {other}")
    return first, second


def make_pair(kind: Kind, photo: Tensor, generator: Generator, lines: Lines = "canny") -> tuple[Tensor, Tensor]:
    """Pairs made of photographs.

    `gray`: a grey picture of the same lightness (CIE L), of which the photograph is to be coloured. `edges`: its lines,
    black on white. `blank`: a rectangle of it is grey. `down`: four times smaller and enlarged again. `jpeg`: saved
    with a quality of 10 to 40. A is rounded to 8 bits, as it is in a file.

    Args:
        kind: what A is.
        photo: (B, 3, H, W) in [0, 1], at least SMALLEST pixels a side.
        generator: on the device of photo; all randomness comes from it or from its seed.
        lines: for edges: `canny`, `dog` (difference of Gaussians: softer), or `xdog` (like ink: dark areas are filled).

    Returns:
        A, (B, 1, H, W) for gray and edges and (B, 3, H, W) for the others, and B, the photograph.

    Raises:
        ValueError: no such kind or lines.
        ImageError: too small a picture.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"pairs are made as one of {', '.join(get_args(Kind))}, not {kind!r}")
    if lines not in get_args(Lines):
        raise ValueError(f"lines must be one of {', '.join(get_args(Lines))}, not {lines!r}")
    height, width = photo.shape[-2:]
    if min(height, width) < SMALLEST:
        raise ImageError(f"{width}x{height} is too small: {SMALLEST} pixels a side are the least")
    if kind == "gray":
        a = lightness(photo)
    elif kind == "edges":
        a = {"canny": canny_lines, "dog": dog_lines, "xdog": xdog_lines}[lines](photo)
    elif kind == "blank":
        a = with_hole(photo, generator)
    elif kind == "down":
        a = small_and_back(photo)
    else:
        seeded = Random(generator.initial_seed())
        a = jpeg(photo, torch.tensor([seeded.uniform(*JPEG_QUALITY) for _ in photo]))
    return to_eight_bits(a), photo


def lightness(photo: Tensor) -> Tensor:
    """The grey (B, 1, H, W) that has the photograph's CIE L: what is left of it without its colours."""
    from kornia.color import lab_to_rgb, rgb_to_lab

    lab = rgb_to_lab(photo)
    return lab_to_rgb(torch.cat((lab[:, :1], torch.zeros_like(lab[:, 1:])), 1)).mean(1, keepdim=True)


def canny_lines(photo: Tensor) -> Tensor:
    """Canny's edges, black on white: (B, 1, H, W).

    References: Canny 1986, "A computational approach to edge detection".
    """
    from kornia.filters import canny

    _, edges = canny(to_grey(photo)[:, :1], low_threshold=0.1, high_threshold=0.3, kernel_size=(9, 9), sigma=(2, 2))
    return 1 - edges


def dog_lines(photo: Tensor) -> Tensor:
    """Lines where two blurs of the picture differ, dark on white: (B, 1, H, W).

    References: Marr & Hildreth 1980.
    """
    grey = to_grey(photo)[:, :1]
    difference = (_blur(grey, 1.0) - _blur(grey, 1.6)).abs()
    return 1 - (20 * (difference - 0.01)).clamp(0, 1)


def xdog_lines(photo: Tensor) -> Tensor:
    """A drawing in ink: a sharpened picture, black below a threshold, white above it, and little between.

    References: Winnemoeller et al. 2012, doi:10.1016/j.cag.2012.03.004 (XDoG, equations 4 to 7).
    """
    grey, sharpness, threshold, steepness = to_grey(photo)[:, :1], 20.0, 0.4, 10.0
    sharpened = (1 + sharpness) * _blur(grey, 0.8) - sharpness * _blur(grey, 1.28)
    return 1 + torch.tanh(steepness * (sharpened - threshold)).clamp(max=0)


def _blur(x: Tensor, sigma: float) -> Tensor:
    radius = round(3 * sigma)
    line = torch.exp(-((torch.arange(-radius, radius + 1, device=x.device) / sigma) ** 2) / 2)
    line = (line / line.sum()).to(x)
    padded = F.pad(x, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))


def with_hole(photo: Tensor, generator: Generator) -> Tensor:
    """Each picture with a rectangle of mid grey somewhere in it, a quarter to half as high and wide."""
    n, device = len(photo), photo.device
    inside = []
    for length in photo.shape[-2:]:
        size, place = torch.rand(2, n, 1, generator=generator, device=device)
        side = (length * (HOLE[0] + (HOLE[1] - HOLE[0]) * size)).round()
        start = (place * (length - side + 1)).floor()
        along = torch.arange(length, device=device)
        inside.append((along >= start) & (along < start + side))
    hole = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return photo.masked_fill(hole, 0.5)


def small_and_back(photo: Tensor) -> Tensor:
    """Each picture four times smaller, antialiased, and enlarged to its size again, both bicubic."""
    height, width = photo.shape[-2:]
    small = F.interpolate(photo, (-(-height // SHRINK), -(-width // SHRINK)), mode="bicubic", antialias=True)
    return F.interpolate(to_eight_bits(small), (height, width), mode="bicubic", antialias=True)
