"""Both layouts of both data sets are read; what is missing, damaged or not what it seems is one line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from study_data import labels_of, striped, write_cifar, write_digits, write_mnist, write_pickles

from img2img.errors import DataError
from img2img.studies.data import cifar, digits
from img2img.studies.study import Settings


def test_mosaics_come_out_in_the_order_of_the_labels(tmp_path: Path) -> None:
    write_cifar(tmp_path / "studies")
    for folder in (tmp_path, tmp_path / "studies"):
        data = cifar(Settings(data=folder))
        assert data.train.shape == (400, 1, 32, 32)
        np.testing.assert_array_equal((data.train[:, 0] * 255).round().numpy(), striped(labels_of(400), 32))
        np.testing.assert_array_equal(data.train_labels.numpy(), labels_of(400))
        assert data.names[3] == "cat"


def test_digits_are_read_from_one_file_and_from_torchvisions_layout(tmp_path: Path) -> None:
    write_digits(tmp_path / "digits")
    one = digits(Settings(data=tmp_path))
    write_mnist(tmp_path / "other")
    other = digits(Settings(data=tmp_path / "other"))
    assert (len(one.train), len(other.train), len(other.test)) == (400, 40, 20)
    np.testing.assert_array_equal((other.test[:, 0] * 255).round().numpy(), striped(labels_of(20), 28))


def test_pictures_are_drawn_moved_and_mirrored(tmp_path: Path) -> None:
    write_digits(tmp_path)
    data = digits(Settings(data=tmp_path))
    one, labels = data.sample(30, torch.Generator().manual_seed(3))
    again, _ = data.sample(30, torch.Generator().manual_seed(3))
    assert torch.equal(one, again)
    moved, same = data.sample(30, torch.Generator().manual_seed(3), shift=2)
    assert moved.shape == one.shape
    assert torch.equal(labels, same)
    assert not torch.equal(moved, one)


def test_what_is_not_there_is_said_with_the_way_to_get_it(tmp_path: Path) -> None:
    for load in (digits, cifar):
        with pytest.raises(DataError, match=r"data names the folder .* with download"):
            load(Settings())
        with pytest.raises(DataError, match=r"there is no .* with download"):
            load(Settings(data=tmp_path))


def test_damaged_and_foreign_files_are_data_errors(tmp_path: Path) -> None:
    (tmp_path / "mnist.npz").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(DataError, match=r"mnist\.npz is damaged"):
        digits(Settings(data=tmp_path))
    np.savez(tmp_path / "mnist.npz", train_images=np.zeros((2, 5, 5), np.uint8))
    with pytest.raises(DataError, match="28x28"):
        digits(Settings(data=tmp_path))
    np.savez(tmp_path / "cifar10_labels.npz", train_labels=np.zeros(5), test_labels=np.zeros(5))
    with pytest.raises(DataError, match="no cifar10_grey_train"):
        cifar(Settings(data=tmp_path))


def test_pickles_that_are_not_cifar_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pickles(tmp_path)
    monkeypatch.setattr("pickle.load", lambda *_args, **_more: pytest.fail("a pickle was read"))
    with pytest.raises(DataError, match="CIFAR10"):
        cifar(Settings(data=tmp_path))
