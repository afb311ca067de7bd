"""The data sets of the studies, MNIST and CIFAR-10 in grey, read from torchvision's layout or from mosaics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Generator, Tensor

from ..core.luma import LUMA
from ..errors import DataError
from ..images import read_picture
from .study import Settings

CIFAR_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ACROSS = 100  # pictures a row of a mosaic


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures and what they show.

    Args:
        train: (N, 1, H, W) in [0, 1].
        train_labels: (N,) int64.
        test: (M, 1, H, W).
        test_labels: (M,).
        names: of the labels.
    """

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    names: tuple[str, ...]

    def first(self, train: int, test: int) -> Labelled:
        """The same with at most so many pictures."""
        return Labelled(
            self.train[:train], self.train_labels[:train], self.test[:test], self.test_labels[:test], self.names
        )

    def sample(self, n: int, generator: Generator, shift: int = 0, mirror: bool = False) -> tuple[Tensor, Tensor]:
        """Training pictures drawn with replacement: (n, 1, H, W) and their labels, on the generator's device.

        Args:
            n: how many.
            generator: of the draw.
            shift: each picture is moved by at most so many pixels, its border repeated.
            mirror: half of them are mirrored.
        """
        device = generator.device
        chosen = torch.randint(len(self.train), (n,), generator=generator, device=device).cpu()
        x = self.train[chosen].to(device)
        if shift:
            size = x.shape[-1]
            x = torch.nn.functional.pad(x, (shift,) * 4, mode="replicate")
            tops, lefts = torch.randint(2 * shift + 1, (2, n), generator=generator, device=device).cpu()
            places = zip(x, tops, lefts, strict=True)
            x = torch.stack([each[:, t : t + size, l : l + size] for each, t, l in places])
        if mirror:
            flips = torch.rand(n, generator=generator, device=device) < 0.5
            x = torch.where(flips.view(-1, 1, 1, 1), x.flip(-1), x)
        return x, self.train_labels[chosen].to(device)


def digits(settings: Settings) -> Labelled:
    """MNIST: `mnist.npz`, or as torchvision lays it out.

    Raises:
        DataError: it is not there, or not what its name says.
    """
    folder = _folder(settings, "MNIST")
    for place in _places(folder, "digits"):
        if (place / "mnist.npz").is_file():
            return _from_npz(place / "mnist.npz")
    if (folder / "MNIST").is_dir() or settings.download:
        return _from_torchvision("MNIST", folder, settings.download, tuple("0123456789"))
    raise _missing("MNIST", folder)


def cifar(settings: Settings) -> Labelled:
    """CIFAR-10 in grey: mosaics `cifar10_grey_*.webp` with `cifar10_labels.npz`, or as torchvision lays it out.

    Raises:
        DataError: it is not there, or not what its name says.
    """
    folder = _folder(settings, "CIFAR-10")
    for place in _places(folder, "studies"):
        if (place / "cifar10_labels.npz").is_file():
            return _from_mosaics(place)
    if (folder / "cifar-10-batches-py").is_dir() or settings.download:
        return _from_torchvision("CIFAR10", folder, settings.download, CIFAR_NAMES)
    raise _missing("CIFAR-10", folder)


def _places(folder: Path, name: str) -> Iterator[Path]:
    yield folder
    yield folder / name


def _folder(settings: Settings, name: str) -> Path:
    if settings.data is None:
        raise DataError(
            "it needs {name}: {0} names the folder that it is in; with {1} it is fetched into that",
            "data",
            "download",
            name=name,
        )
    return settings.data


def _missing(name: str, folder: Path) -> DataError:
    return DataError(
        "there is no {name} in {folder}; with {0} torchvision fetches it", "download", name=name, folder=folder
    )


def _tensor(samples: np.ndarray, size: int) -> Tensor:
    if samples.ndim != 3 or samples.shape[1:] != (size, size) or samples.dtype != np.uint8:
        raise ValueError(f"pictures of {size}x{size} in 8 bits were expected, not {samples.shape} {samples.dtype}")
    return torch.from_numpy(samples)[:, None].float() / 255


def _labels(labels: np.ndarray, count: int) -> Tensor:
    if labels.shape != (count,) or not 0 <= int(labels.min()) <= int(labels.max()) < 10:
        raise ValueError(f"{count} labels from 0 to 9 were expected")
    return torch.from_numpy(labels.astype(np.int64))


def _from_npz(path: Path) -> Labelled:
    try:
        with np.load(path, allow_pickle=False) as file:
            train, test = (_tensor(file[f"{part}_images"], 28) for part in ("train", "test"))
            train_labels = _labels(file["train_labels"], len(train))
            test_labels = _labels(file["test_labels"], len(test))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{path} is damaged or no MNIST: {error}") from error
    return Labelled(train, train_labels, test, test_labels, tuple("0123456789"))


def _from_mosaics(folder: Path) -> Labelled:
    parts: dict[str, Tensor] = {}
    try:
        with np.load(folder / "cifar10_labels.npz", allow_pickle=False) as file:
            for part in ("train", "test"):
                mosaics = folder.glob(f"cifar10_grey_{part}_*.webp")
                files = sorted(mosaics, key=lambda path: int(path.stem.split("_")[-1]))
                if not files:
                    raise ValueError(f"no cifar10_grey_{part}_*.webp beside it")
                samples = np.concatenate([_tiles(path) for path in files])[: len(file[f"{part}_labels"])]
                parts[part] = _tensor(samples, 32)
                parts[f"{part}_labels"] = _labels(file[f"{part}_labels"], len(samples))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{folder / 'cifar10_labels.npz'}: {error}") from error
    return Labelled(parts["train"], parts["train_labels"], parts["test"], parts["test_labels"], CIFAR_NAMES)


def _tiles(path: Path) -> np.ndarray:
    """The pictures of a mosaic, row by row: (N, 32, 32) uint8."""
    mosaic = read_picture(path).samples[..., 0]  # grey: the three channels of a WebP are alike
    rows, columns = mosaic.shape[0] // 32, mosaic.shape[1] // 32
    if columns != ACROSS:
        raise ValueError(f"{path.name} is {mosaic.shape[1]} pixels wide, not {32 * ACROSS}")
    return mosaic.reshape(rows, 32, columns, 32).swapaxes(1, 2).reshape(-1, 32, 32)


def _from_torchvision(kind: str, folder: Path, download: bool, names: tuple[str, ...]) -> Labelled:
    make: Any = getattr(import_module("torchvision.datasets"), kind)
    try:
        sets = [make(str(folder), train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError, ValueError) as error:  # not there, damaged (by its md5), or no network
        words = str(error).splitlines()[0].removesuffix(" You can use download=True to download it")
        raise DataError(
            "{kind} in {folder}: {words}; with {0} torchvision fetches it",
            "download",
            kind=kind,
            folder=folder,
            words=words,
        ) from error
    pictures = [_tensor(_grey(np.asarray(each.data)), each.data.shape[1]) for each in sets]
    labels = [_labels(np.asarray(each.targets), len(each.data)) for each in sets]
    return Labelled(pictures[0], labels[0], pictures[1], labels[1], names)


def _grey(samples: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) to (N, H, W): the luma; grey ones stay."""
    return samples if samples.ndim == 3 else np.rint(samples @ np.array(LUMA)).astype(np.uint8)
