"""The texture descriptor: against torchvision's VGG, on tori, frozen, normalised, and its weights' ways in."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Generator, Tensor, nn

from img2img.core.descriptor import (
    LAYERS,
    LEAST_MEAN,
    MEAN,
    STD,
    VGG,
    VGG19,
    RandomFilters,
    framed,
    mean_activations,
    normalise,
)
from img2img.errors import WeightsError
from img2img.tasks.texture import vgg19
from img2img.tasks.texture.descriptor_file import load_descriptor
from img2img.tasks.texture.vgg19 import CAFFE_MEAN, load_vgg19, natural_images, published

SMALL = ((6, 4), (8, 6), (8, 8), (12, 8, 8), (16,))


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=Generator().manual_seed(seed))


def small_vgg(seed: int = 0, **options: object) -> VGG:
    torch.manual_seed(seed)
    vgg = VGG(SMALL, **options)  # type: ignore[arg-type]
    for conv in vgg.convolutions():
        conv.bias.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
    return vgg


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


def multiply_adds(vgg: VGG) -> float:
    """For each pixel of the image; every pooling leaves a quarter of the positions."""
    total, positions = 0.0, 1.0
    for part in vgg.features:
        positions /= 4 if isinstance(part, nn.AvgPool2d) else 1
        total += part.weight.numel() * positions if isinstance(part, nn.Conv2d) else 0
    return total


def test_vgg_slim_keeps_its_budget() -> None:
    slim, full = VGG(), VGG(VGG19)
    assert slim.layers == full.layers == LAYERS
    assert sum(p.numel() for p in slim.parameters()) <= 1_600_000
    assert multiply_adds(full) == pytest.approx(361_152)
    assert multiply_adds(slim) <= multiply_adds(full) / 12


def test_vgg19_has_torchvisions_names_and_shapes() -> None:
    from torchvision.models import vgg19 as reference

    with torch.device("meta"):
        theirs = {k: v.shape for k, v in reference().features.state_dict().items() if int(k.split(".")[0]) <= 28}
        ours = {k.removeprefix("features."): v.shape for k, v in VGG(VGG19).state_dict().items()}
    assert ours == theirs


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


def test_depth_stops_early_and_gradients_reach_the_image_only() -> None:
    vgg, x = small_vgg(), image(1, 3, 33, 50).requires_grad_()
    whole, part = vgg(x), vgg(x, depth=2)
    assert [tuple(f.shape) for f in whole] == [(1, c, 33 >> l, 50 >> l) for l, c in enumerate(vgg.channels)]
    assert len(part) == 2
    assert all(torch.equal(a, b) for a, b in zip(part, whole, strict=False))
    whole[-1].sum().backward()
    assert x.grad is not None
    assert x.grad.any()
    assert [name for name, p in vgg.named_parameters() if p.requires_grad or p.grad is not None] == []


@pytest.mark.parametrize("kind", ["vgg", "random"])
def test_on_a_torus_a_rolled_image_has_rolled_features(kind: str) -> None:
    descriptor = small_vgg(circular=True) if kind == "vgg" else RandomFilters(2, circular=True)
    x = image(1, 3, 32, 64)
    for before, after in zip(descriptor(x), descriptor(x.roll((16, 32), (2, 3))), strict=True):
        shift = [side * before.shape[-2] // 32 for side in (16, 32)]
        torch.testing.assert_close(after, before.roll(shift, (2, 3)), rtol=1e-4, atol=1e-5)
    descriptor.circular = False
    assert not torch.allclose(descriptor(x.roll(16, 2))[0], descriptor(x)[0].roll(16, 2))


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 2), (6, 7)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_framing_is_circular_padding_and_so_is_its_gradient(size: tuple[int, int], layout: torch.memory_format) -> None:
    x = image(2, 3, *size).to(memory_format=layout).requires_grad_()
    mine, reference = framed(x), nn.functional.pad(x, (1, 1, 1, 1), mode="circular")
    assert torch.equal(mine, reference)
    weight = image(*mine.shape, seed=1)
    slopes = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (mine, reference)]
    torch.testing.assert_close(slopes[0], slopes[1])
    assert framed(image(1, 4, 8, 8).to(memory_format=layout)).is_contiguous(memory_format=layout)


def test_on_a_torus_of_odd_sides_every_pixel_is_seen_at_every_layer() -> None:
    vgg, x = small_vgg(circular=True), image(1, 3, 17, 19).requires_grad_()
    sizes = [tuple(f.shape[2:]) for f in vgg(x)]
    assert sizes == [(17, 19), (9, 10), (5, 5), (3, 3), (2, 2)]
    (gradient,) = torch.autograd.grad(vgg(x)[-1].sum(), x)
    assert gradient.abs().sum((0, 1)).min() > 0


def test_normalising_sets_means_to_one_and_changes_nothing_else() -> None:
    vgg, x = small_vgg(), image(4, 3, 32, 32)
    before = vgg(x)
    normalise(vgg, mean_activations(vgg, x))
    for old, new in zip(before, vgg(x), strict=True):
        fires = old.mean((0, 2, 3)) > LEAST_MEAN * old.mean()
        assert fires.any()
        scaled = old / old.mean((0, 2, 3), keepdim=True)
        torch.testing.assert_close(new[:, fires], scaled[:, fires], rtol=1e-3, atol=1e-4)


def test_a_channel_that_never_fires_stays_finite_and_small() -> None:
    vgg, x = small_vgg(), image(2, 3, 32, 32)
    vgg.features[0].bias[0] = -100  # type: ignore[index]
    normalise(vgg, mean_activations(vgg, x))
    assert all(torch.isfinite(f).all() for f in vgg(x))
    assert vgg(x)[0][:, 0].max() == 0


def test_loaded_vgg19_is_normalised_over_natural_images(weights: Path) -> None:
    means = mean_activations(load_vgg19(weights), natural_images())
    raw = mean_activations(load_vgg19(weights, normalised=False), natural_images())
    for mean, before in zip(means, raw, strict=True):
        fires = before > LEAST_MEAN * before.mean()
        torch.testing.assert_close(mean[fires], torch.ones_like(mean[fires]), rtol=1e-3, atol=0)
    natural = natural_images()
    assert natural.shape == (9, 3, 192, 192)
    assert natural.std() > 0.1


def test_random_filters_repeat_with_the_seed_and_fit_any_size() -> None:
    x = image(1, 3, 20, 31)
    assert load_descriptor("random")(x)[0].shape == (1, 128, 20, 31)
    few = [RandomFilters(2, seed=seed)(x)[0] for seed in (0, 0, 1)]
    assert torch.equal(few[0], few[1])
    assert not torch.equal(few[0], few[2])
    # Of a flat image larger than the filters each size's responses vary alike: that is what their scale is for.
    flat = RandomFilters(64)(torch.ones(1, 3, 57, 57))[0][0, :, 28, 28].view(8, 64)
    assert flat.std(1).max() < 2 * flat.std(1).min()


def test_a_distilled_descriptor_is_trusted_less_the_deeper_and_the_others_alike() -> None:
    trust = load_descriptor("vgg-slim").trust
    assert len(trust) == 5
    assert list(trust) == sorted(trust, reverse=True)
    assert trust[0] > 10 * trust[4] > 0
    assert set(small_vgg().trust) == set(load_descriptor("random").trust) == {1.0}


def test_images_of_the_wrong_shape_are_refused() -> None:
    for wrong in (image(1, 3, 15, 40), image(1, 1, 32, 32), image(3, 32, 32)):
        with pytest.raises(ValueError, match="at least 16"):
            small_vgg()(wrong)


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
