"""Descriptors by name and from files: VGG-19 as its publisher has it, and what is refused."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_core_descriptor import SMALL, image, small_vgg
from torch import Tensor, nn

from img2img.core.descriptor import (
    LEAST_MEAN,
    MEAN,
    STD,
    VGG,
    mean_activations,
)
from img2img.descriptors import vgg19
from img2img.descriptors.by_name import load_descriptor
from img2img.descriptors.vgg19 import CAFFE_MEAN, load_vgg19, natural_images, published
from img2img.errors import WeightsError


def as_published(vgg: VGG) -> dict[str, Tensor]:
    """Its tensors as torchvision's file has them, with more than is wanted."""
    tensors = {k: v.clone() for k, v in vgg.state_dict().items()}
    last = 2 + max(int(k.split(".")[1]) for k in tensors)
    more = {f"features.{last}.weight": image(4, 16, 3, 3), f"features.{last}.bias": image(4)}
    return tensors | more | {"classifier.0.weight": image(2, 4)}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_file(as_published(small_vgg()), tmp_path / "vgg.safetensors")
    return tmp_path / "vgg.safetensors"


def test_features_are_those_of_torchvisions_layers_with_average_pooling(weights: Path) -> None:
    from torchvision.models.vgg import make_layers

    cfg = [width if i == 0 or j else ("M", width) for i, block in enumerate(SMALL) for j, width in enumerate(block)]
    flat = [entry for part in cfg for entry in (part if isinstance(part, tuple) else (part,))]
    theirs = make_layers([*flat, 4])  # type: ignore[list-item]
    published_tensors = as_published(small_vgg())
    theirs.load_state_dict(
        {k.removeprefix("features."): v for k, v in published_tensors.items() if k.startswith("features.")}
    )
    x = image(2, 3, 48, 37)
    activation = (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    expected, first = [], True
    for part in theirs:
        activation = nn.functional.avg_pool2d(activation, 2) if isinstance(part, nn.MaxPool2d) else part(activation)
        if first and isinstance(part, nn.ReLU):
            expected.append(activation.clone())
        first = (isinstance(part, nn.Conv2d) and first) or isinstance(part, nn.MaxPool2d)
    descriptor = load_descriptor("vgg19", weights, normalised=False)
    found = descriptor(x)
    assert len(found) == len(expected) == 5
    for mine, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)


def test_8_bit_weights_are_read_as_the_original_ones(tmp_path: Path) -> None:
    """They are for images in [0, 255] less their mean, and are stored with a scale and a minimum."""
    vgg, std = small_vgg(mean=CAFFE_MEAN), torch.tensor(STD).view(1, 3, 1, 1)
    stored: dict[str, Tensor] = {}
    exact = {}
    for k, v in vgg.state_dict().items():
        v = v / (255 * std) if k == "features.0.weight" else v
        scale, least = (v.max() - v.min()).double() / 255, v.min().double()
        stored[k] = ((v - least) / scale).round().to(torch.uint8)
        stored[k + ".scale_min"] = torch.stack((scale, least))
        exact[k] = (stored[k] * scale + least).float()
    save_file(stored, tmp_path / "u8.safetensors")
    vgg.load_state_dict(exact | {"features.0.weight": exact["features.0.weight"] * 255 * std})
    x = image(1, 3, 32, 32)
    for mine, wanted in zip(load_vgg19(tmp_path / "u8.safetensors", normalised=False)(x), vgg(x), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)


def test_loaded_vgg19_is_normalised_over_natural_images(weights: Path) -> None:
    means = mean_activations(load_vgg19(weights), natural_images())
    raw = mean_activations(load_vgg19(weights, normalised=False), natural_images())
    for mean, before in zip(means, raw, strict=True):
        fires = before > LEAST_MEAN * before.mean()
        torch.testing.assert_close(mean[fires], torch.ones_like(mean[fires]), rtol=1e-3, atol=0)
    natural = natural_images()
    assert natural.shape == (9, 3, 192, 192)
    assert natural.std() > 0.1


def test_a_distilled_descriptor_is_trusted_less_the_deeper_and_the_others_alike() -> None:
    trust = load_descriptor("vgg-slim").trust
    assert len(trust) == 5
    assert list(trust) == sorted(trust, reverse=True)
    assert trust[0] > 10 * trust[4] > 0
    assert set(small_vgg().trust) == set(load_descriptor("random").trust) == {1.0}


def test_files_that_hold_no_vgg_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="there is no file"):
        load_descriptor("vgg19", tmp_path / "none.safetensors")
    (tmp_path / "junk").write_bytes(b"junk" * 10)
    with pytest.raises(WeightsError, match="no safetensors"):
        load_descriptor("vgg19", tmp_path / "junk")
    tensors = {k: v for k, v in as_published(small_vgg()).items() if not k.startswith("features.7.")}
    save_file(tensors, tmp_path / "gap.safetensors")
    with pytest.raises(WeightsError, match="torchvision's names"):
        load_descriptor("vgg19", tmp_path / "gap.safetensors")
    with pytest.raises(WeightsError, match="no weights called"):
        load_descriptor("vgg-tiny")


def test_offline_vgg19_says_so_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("IMG2IMG_OFFLINE", "1")
    with pytest.raises(WeightsError, match="IMG2IMG_OFFLINE forbids") as caught:
        load_descriptor("vgg19")
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("IMG2IMG_OFFLINE", "0")
    monkeypatch.setattr(vgg19, "URL", (tmp_path / "nowhere.pth").as_uri())  # a fetch that must fail
    with pytest.raises(WeightsError, match="cannot be fetched"):
        load_descriptor("vgg19")
    assert not list((tmp_path / "img2img").iterdir())


def test_what_is_fetched_is_compared_converted_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "published.pth"
    torch.save(as_published(small_vgg()), source)
    content = source.read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("IMG2IMG_OFFLINE", raising=False)
    monkeypatch.setattr(vgg19, "URL", source.as_uri())
    with pytest.raises(WeightsError, match="differ"):
        published()
    assert not list((tmp_path / "img2img").iterdir())
    monkeypatch.setattr(vgg19, "SIZE", len(content))
    monkeypatch.setattr(vgg19, "MD5", hashlib.md5(content).hexdigest())
    monkeypatch.setattr(vgg19, "SHA256", hashlib.sha256(content).hexdigest()[:8])
    kept = published()
    assert kept == tmp_path / "img2img/vgg19-features.safetensors"
    assert list(kept.parent.iterdir()) == [kept]
    source.unlink()  # from here on only the kept file is there
    x = image(1, 3, 32, 32)
    for mine, wanted in zip(load_descriptor("vgg19", normalised=False)(x), small_vgg()(x), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)
