"""VGG-19's weights: from a local file, or torchvision's, downloaded when asked for and never otherwise."""

import hashlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.descriptor import LAYERS, VGG, mean_activations, normalise
from ..core.padding import center_crop
from ..core.vgg_shape import MEAN, STD
from ..data.patches import load_rgb
from ..errors import WeightsError

URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
SIZE = 574_673_361  # bytes
# All of its sha256 that its publisher gives: the first eight digits, in its name. The md5 is the one under which a
# public archive of research data (git-annex) keeps that file.
SHA256 = "dcbb9e9d"
MD5 = "92881fe292bd7d2408ecff58a101fd03"
CAFFE_MEAN = (0.485, 0.458, 0.408)  # of the original weights; torchvision's own have MEAN


# Photographs that come with scikit-image, for the mean activations. Measured with the original VGG-19, the logarithms
# of the channels' means correlate with those of 24 of our training photographs by 0.53, 0.71, 0.85, 0.90, 0.55 (relu1_1
# to relu5_1); those of two halves of the 24 with one another by 0.94, 0.96, 0.92, 0.95, 0.76.
NATURAL = (
    *("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "camera.png"),
    *("brick.png", "grass.png", "gravel.png"),
)
SIDE = 192  # of what is taken of each


def load_vgg19(weights: Path | None = None, normalised: bool = True) -> VGG:
    """VGG-19 to relu5_1, with average pooling; or what other network of its kind a file holds (VGG-16, a small one).

    Args:
        weights: a local file as `read_weights` takes it; torchvision's without.
        normalised: scale channels to mean activations of 1 over natural images.

    Raises:
        WeightsError: the file is missing or no VGG's, or torchvision's may not or cannot be fetched.
    """
    path = weights or published()
    tensors, mean = read_weights(path)
    try:
        tensors = to_relu5_1(tensors)
        vgg = VGG(widths_of(tensors), mean=mean)
        vgg.load_state_dict(tensors)
    except (KeyError, ValueError, IndexError, RuntimeError) as error:
        raise WeightsError(f"{path} does not hold VGG-19's convolutions under torchvision's names") from error
    if normalised:
        normalise(vgg, mean_activations(vgg, natural_images()))
    return vgg


def natural_images() -> Tensor:
    """The middles of NATURAL, made smaller: (9, 3, SIDE, SIDE) in [0, 1]."""
    package = find_spec("skimage")  # its folder is enough: importing it takes longer
    assert package is not None
    assert package.origin is not None
    images = []
    for name in NATURAL:
        image = torch.from_numpy(load_rgb(Path(package.origin).parent / "data" / name).copy()).permute(2, 0, 1)[None]
        scale = (SIDE + 0.5) / min(image.shape[-2:])  # half a pixel more, lest rounding makes it one less
        small = F.interpolate(image.float() / 255, scale_factor=scale, mode="bilinear", antialias=True)
        images.append(center_crop(small, SIDE, SIDE))
    return torch.cat(images)


def convolutions(tensors: dict[str, Tensor]) -> list[list[int]]:
    """Places of the convolutions in `features`, block by block: 2 apart within a block, 3 where a pooling lies between.

    Raises:
        ValueError: other distances.
    """
    places = sorted(int(k.split(".")[1]) for k in tensors if k.startswith("features.") and k.endswith(".weight"))
    blocks: list[list[int]] = []
    for i, place in enumerate(places):
        gap = place - places[i - 1] if i else 3
        if gap not in (2, 3):
            raise ValueError(f"features.{place} does not follow features.{places[i - 1]} as in a VGG")
        if gap == 3:
            blocks.append([])
        blocks[-1].append(place)
    return blocks


def to_relu5_1(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights and biases of the convolutions up to the fifth block's first.

    Raises:
        ValueError, KeyError, IndexError: they are no VGG's.
    """
    blocks = convolutions(tensors)
    last = blocks[len(LAYERS) - 1][0]
    kept = [place for block in blocks for place in block if place <= last]
    return {f"features.{place}.{k}": tensors[f"features.{place}.{k}"] for place in kept for k in ("weight", "bias")}


def widths_of(tensors: dict[str, Tensor]) -> list[list[int]]:
    """Feature maps of each convolution, block by block."""
    return [[len(tensors[f"features.{place}.weight"]) for place in block] for block in convolutions(tensors)]


def read_weights(path: Path) -> tuple[dict[str, Tensor], tuple[float, ...]]:
    """The tensors of a safetensors file, float32, and the mean of the images that they want.

    Floats are taken as torchvision's, for images with MEAN subtracted and divided by STD. Tensors of 8 bits, each with
    a `NAME.scale_min` beside it, are the original weights: for images in [0, 255] with CAFFE_MEAN subtracted.

    Raises:
        WeightsError: missing, or no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    try:
        stored = load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged or no safetensors file: {error}") from error
    if not any(k.endswith(".scale_min") for k in stored):
        return {k: v.float() for k, v in stored.items() if v.is_floating_point()}, MEAN
    tensors = {}
    for k, v in stored.items():
        if v.dtype == torch.uint8 and f"{k}.scale_min" in stored:
            scale, least = stored[f"{k}.scale_min"].double()
            tensors[k] = (v.double() * scale + least).float()
    if "features.0.weight" in tensors:
        tensors["features.0.weight"] *= 255 * torch.tensor(STD).view(1, 3, 1, 1)
    return tensors, CAFFE_MEAN


def published() -> Path:
    """torchvision's weights in the cache folder, as safetensors; downloaded and converted the first time.

    Raises:
        WeightsError: they are not there and may not or cannot be fetched, or what came is not them.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "img2img"
    kept = cache / "vgg19-features.safetensors"
    if kept.is_file():
        return kept
    if os.environ.get("IMG2IMG_OFFLINE", "0") not in ("", "0"):
        raise WeightsError(
            f"vgg19 needs {URL}, and IMG2IMG_OFFLINE forbids to fetch it; {{0}} takes a file", "descriptor_weights"
        )
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / "vgg19.pth.part"
    try:
        download(archive)
        convert(archive, kept)
    finally:
        archive.unlink(missing_ok=True)
    return kept


def download(to: Path) -> None:
    """Fetch URL into a file and compare it with SIZE, SHA256 and MD5.

    Raises:
        WeightsError: no connection, or another file came.
    """
    print(f"fetching {URL} ({SIZE / 1e6:.0f} MB)", file=sys.stderr)
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    try:
        with urlopen(URL, timeout=30) as source, to.open("wb") as file:
            while (block := source.read(1 << 20)) and size <= SIZE:
                file.write(block)
                sha256.update(block)
                md5.update(block)
                size += len(block)
    except OSError as error:  # urllib's own errors are such
        reason = getattr(error, "reason", None) or error
        raise WeightsError(f"vgg19's weights cannot be fetched from {URL}: {reason}") from error
    if size != SIZE or not sha256.hexdigest().startswith(SHA256) or md5.hexdigest() != MD5:
        raise WeightsError(f"what came from {URL} is not the file published there: its size or its hashes differ")


def convert(archive: Path, kept: Path) -> None:
    """Write the convolutions of torchvision's file as safetensors.

    The suite's only reading of a pickle: one file, its hashes compared before, by PyTorch's restricted unpickler, once.
    """
    from safetensors.torch import save_file

    tensors = to_relu5_1(torch.load(archive, map_location="cpu", weights_only=True))
    temporary = kept.with_suffix(".tmp")
    save_file({k: v.contiguous() for k, v in tensors.items()}, temporary)
    temporary.replace(kept)
