"""The texture descriptor: against torchvision's VGG, on tori, frozen, normalised."""

import pytest
import torch
from torch import Generator, Tensor, nn

from img2img.core.descriptor import (
    LAYERS,
    LEAST_MEAN,
    VGG,
    VGG19,
    RandomFilters,
    framed,
    mean_activations,
    normalise,
)
from img2img.descriptors.by_name import load_descriptor

SMALL = ((6, 4), (8, 6), (8, 8), (12, 8, 8), (16,))


def image(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=Generator().manual_seed(seed))


def small_vgg(seed: int = 0, **options: object) -> VGG:
    torch.manual_seed(seed)
    vgg = VGG(SMALL, **options)  # type: ignore[arg-type]
    for conv in vgg.convolutions():
        conv.bias.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
    return vgg


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


def test_random_filters_repeat_with_the_seed_and_fit_any_size() -> None:
    x = image(1, 3, 20, 31)
    assert load_descriptor("random")(x)[0].shape == (1, 128, 20, 31)
    few = [RandomFilters(2, seed=seed)(x)[0] for seed in (0, 0, 1)]
    assert torch.equal(few[0], few[1])
    assert not torch.equal(few[0], few[2])
    # Of a flat image larger than the filters each size's responses vary alike: that is what their scale is for.
    flat = RandomFilters(64)(torch.ones(1, 3, 57, 57))[0][0, :, 28, 28].view(8, 64)
    assert flat.std(1).max() < 2 * flat.std(1).min()


def test_images_of_the_wrong_shape_are_refused() -> None:
    for wrong in (image(1, 3, 15, 40), image(1, 1, 32, 32), image(3, 32, 32)):
        with pytest.raises(ValueError, match="at least 16"):
            small_vgg()(wrong)
