"""Small data sets in the layouts that the studies read: stripes whose place tells the label."""

import gzip
import pickle
from pathlib import Path

import numpy as np
from PIL import Image


def striped(labels: np.ndarray, size: int) -> np.ndarray:
    """Noise with a bright row for each label: (N, size, size) uint8."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 90, (len(labels), size, size))
    for picture, label in zip(pictures, labels, strict=True):
        picture[2 * label + 4 : 2 * label + 6] += 150
    return pictures.astype(np.uint8)


def labels_of(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 10, count)


def write_digits(folder: Path) -> None:
    """`mnist.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    train, test = labels_of(400), labels_of(100)
    arrays = {"train_images": striped(train, 28), "train_labels": train.astype(np.uint8)}
    arrays |= {"test_images": striped(test, 28), "test_labels": test.astype(np.uint8)}
    np.savez_compressed(folder / "mnist.npz", **arrays)


def write_mnist(folder: Path) -> None:
    """As torchvision lays it out."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        labels = labels_of(count)
        for kind, values in (("images-idx3", striped(labels, 28)), ("labels-idx1", labels.astype(np.uint8))):
            header = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
            data = header + values.tobytes()
            (raw / f"{part}-{kind}-ubyte").write_bytes(data)
            (raw / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(data))


def write_cifar(folder: Path) -> None:
    """Mosaics of 100 pictures a row, two of them for training."""
    folder.mkdir(parents=True, exist_ok=True)
    train, test = labels_of(400), labels_of(100)
    for part, labels, files in (("train", train, 2), ("test", test, 1)):
        for n, tiles in enumerate(np.split(striped(labels, 32), files)):
            mosaic = tiles.reshape(-1, 100, 32, 32).swapaxes(1, 2).reshape(-1, 3200)
            path = folder / f"cifar10_grey_{part}_{n}.webp"
            Image.fromarray(mosaic).convert("RGB").save(path, lossless=True)
    np.savez(folder / "cifar10_labels.npz", train_labels=train, test_labels=test)


def write_pickles(folder: Path) -> None:
    """Files called as torchvision's CIFAR-10 are, but others: it must refuse them before it unpickles anything."""
    batches = folder / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"):
        (batches / name).write_bytes(pickle.dumps({"data": name}))
