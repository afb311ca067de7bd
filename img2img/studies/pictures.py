"""The picture that a study looks at: RGB in [0, 1], small enough to be quick."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..core.luma import LUMA
from ..data.patches import load_rgb
from ..errors import DataError

SMALLEST = 32
# Photographs of scikit-image other than the cat, which is looked at when nobody names a picture.
TO_LEARN_FROM = (
    "astronaut.png",
    "coffee.png",
    "motorcycle_left.png",
    "rocket.jpg",
    "camera.png",
    "brick.png",
    "grass.png",
    "gravel.png",
)


def photograph(path: Path | None, side: int = 256, multiple: int = 1) -> Tensor:
    """A picture, made smaller until its longer side is at most so long: (3, H, W) in [0, 1]; grey ones three times.

    Args:
        path: the file; without, a photograph of a cat that comes with scikit-image.
        side: the longer side at most.
        multiple: both sides are cropped to multiples of it.

    Raises:
        ImageError: the file is no picture.
        DataError: it is smaller than SMALLEST each way, or there is no photograph.
    """
    file = path or example()
    samples = load_rgb(file)
    height, width = samples.shape[:2]
    if min(height, width) < SMALLEST:
        raise DataError(f"{file} has {width}x{height} pixels; a study needs {SMALLEST}x{SMALLEST} or more")
    step = max(1, -(-max(height, width) // (4 * side)))  # a huge picture is first thinned out
    x = torch.from_numpy(np.ascontiguousarray(samples[::step, ::step])).permute(2, 0, 1)[None].float() / 255
    scale = min(1.0, side / max(x.shape[-2:]))
    if scale < 1:
        sizes = [max(SMALLEST, round(n * scale)) for n in x.shape[-2:]]
        x = F.interpolate(x, size=sizes, mode="bilinear", antialias=True, align_corners=False)
    height, width = (max(n - n % multiple, min(n, multiple)) for n in x.shape[-2:])
    return x[0, :, :height, :width].clamp(0, 1)


def example() -> Path:
    """Where scikit-image keeps its photograph of a cat.

    Raises:
        DataError: it is not installed.
    """
    package = find_spec("skimage")  # its folder is enough: importing it takes longer
    if package is None or package.origin is None:
        raise DataError("name a PICTURE: the photograph used without one comes with scikit-image, which is not here")
    return Path(package.origin).parent / "data" / "chelsea.png"


def grey(picture: Tensor) -> Tensor:
    """The luma (ITU-R BT.601) of (..., 3, H, W): (..., 1, H, W)."""
    return (picture * torch.tensor(LUMA).view(3, 1, 1)).sum(-3, keepdim=True)


def shown(picture: Tensor) -> np.ndarray:
    """A picture (C, H, W) or (1, C, H, W) as drawing takes it: (H, W) if grey, else (H, W, 3)."""
    x = picture.detach()[0] if picture.ndim == 4 else picture.detach()
    return (x[0] if x.shape[0] == 1 else x.permute(1, 2, 0)).float().numpy()


def crops(picture: Tensor, n: int, side: int, generator: Generator) -> Tensor:
    """Random crops of a picture (C, H, W), half of them mirrored: (n, C, side, side), on the generator's device.

    Args:
        picture: what is cropped.
        n: how many.
        side: of a crop; no larger than the picture is.
        generator: of the draw.
    """
    device, side = generator.device, min(side, *picture.shape[-2:])
    rows, columns = (
        torch.randint(size - side + 1, (n,), generator=generator, device=device).tolist() for size in picture.shape[-2:]
    )
    x = torch.stack([picture[:, r : r + side, c : c + side] for r, c in zip(rows, columns, strict=True)]).to(device)
    mirrored = torch.rand(n, generator=generator, device=device) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), x.flip(-1), x)


def crops_of(pictures: list[Tensor], n: int, side: int, generator: Generator) -> Tensor:
    """Random crops of several pictures, each drawn equally often, as `crops` makes them."""
    chosen = torch.randint(len(pictures), (n,), generator=generator, device=generator.device).tolist()
    return torch.cat([crops(pictures[i], 1, side, generator) for i in chosen])


def photographs(side: int = 256) -> list[Tensor]:
    """Photographs that come with scikit-image, to learn from: each (3, H, W), the longer side at most so long.

    Raises:
        DataError: it is not installed.
    """
    folder = example().parent
    return [photograph(folder / name, side) for name in TO_LEARN_FROM]
