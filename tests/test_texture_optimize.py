"""Texture synthesis: pyramid, L-BFGS, tiles, colours and measures against closed forms; textures of real samples.

The descriptor is `random`, which needs no file, or a small untrained VGG.
"""

from functools import cache
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from untrained_texture import CPU, gravel, noise, untrained

from img2img import runtime
from img2img.core.descriptor import RandomFilters
from img2img.core.luma import LUMA
from img2img.errors import ImageError
from img2img.metrics.texture import seam_scores
from img2img.tasks.texture import Texture
from img2img.tasks.texture.colour import coloured, luminance, match_colours, palette
from img2img.tasks.texture.job import LossName
from img2img.tasks.texture.loss import GramLoss, SlicedWassersteinLoss, make_loss
from img2img.tasks.texture.material import PIECES, crop_middle, pieces
from img2img.tasks.texture.methods import by_torch
from img2img.tasks.texture.methods.by_torch import Mixed, Objective, TorchEye, bytes_needed
from img2img.tasks.texture.methods.lbfgs import minimise
from img2img.tasks.texture.methods.optimize import Progress, noise_like
from img2img.tasks.texture.pyramid import COARSEST, REACH, STRIDE, levels, mirrored, resample
from img2img.tasks.texture.sample_features import sample_features


@cache
def synthesiser() -> Texture:
    return Texture(TorchEye(untrained(), CPU))


# The pyramid


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    sample=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    tileable=st.booleans(),
)
def test_levels_fit_any_size(size: tuple[int, int], sample: tuple[int, int], tileable: bool) -> None:
    pyramid = levels(size, [sample], tileable, smallest=28)
    finest = pyramid[-1]
    assert all(side % STRIDE == 0 and side >= 32 for level in pyramid for side in level.canvas)
    assert all(made >= wanted for made, wanted in zip(finest.canvas, size, strict=True))
    if not tileable:
        assert finest.samples == (sample,)  # of the scale it has
    for coarse, fine in pairwise(pyramid):
        assert all(2 * a >= b for a, b in zip(coarse.canvas, fine.canvas, strict=True))
        assert min(coarse.samples[0]) >= COARSEST - 1
        # A sample is stretched as its canvas is.
        for i in (0, 1):
            assert coarse.samples[0][i] == pytest.approx(
                sample[i] * coarse.canvas[i] / finest.canvas[i] * (1 if not tileable else finest.canvas[i] / size[i]),
                abs=0.51,
            )


def test_a_large_sample_gives_several_levels_and_a_small_one_few() -> None:
    assert [level.canvas for level in levels((256, 512), [(256, 256)], True)] == [
        (32, 64),
        (64, 128),
        (128, 256),
        (256, 512),
    ]
    assert len(levels((4096, 4096), [(63, 300)], True)) == 1
    assert len(levels((4096, 4096), [(64, 300)], True)) == 2
    assert len(levels((4096, 4096), [(64, 300), (8, 8)], True)) == 1


def test_resampling_keeps_what_is_constant_or_straight() -> None:
    constant = torch.full((1, 2, 7, 9), 0.3)
    for circular in (False, True):
        for smooth in (False, True):
            made = resample(constant, (5, 31), circular, smooth)
            torch.testing.assert_close(made, torch.full((1, 2, 5, 31), 0.3))
    slope = torch.arange(16.0).expand(1, 1, 3, 16)
    doubled = resample(slope, (3, 32), circular=False)[..., 6:-6]
    torch.testing.assert_close(doubled, ((torch.arange(32) - 0.5) / 2)[6:-6].expand(1, 1, 3, 20))
    assert torch.equal(resample(slope, (3, 16), circular=True), slope)


@pytest.mark.parametrize("length", [9, 24, 30, 48, 66])
def test_a_wave_stays_a_wave_around_the_torus(length: int) -> None:
    def wave(n: int) -> Tensor:
        return torch.sin((torch.arange(n) + 0.5) * 2 * torch.pi / n)

    circular = resample(wave(24).expand(1, 1, 4, 24), (4, length), circular=True)[0, 0, 0]
    assert (circular - wave(length)).abs().max() < 0.05
    rolled = resample(wave(24).roll(8).expand(1, 1, 4, 24), (4, 3 * length), circular=True)[0, 0, 0]
    torch.testing.assert_close(
        rolled, resample(wave(24).expand(1, 1, 4, 24), (4, 3 * length), True)[0, 0, 0].roll(length)
    )


def test_a_smooth_enlargement_shows_no_grid() -> None:
    def grid(smooth: bool) -> float:
        enlarged = resample(noise(1, 3, 64, 64), (128, 128), circular=True, smooth=smooth)
        steps = (enlarged - enlarged.roll(1, 3)).abs().mean((0, 1, 2))
        return (steps[0::2].mean() / steps[1::2].mean()).item()

    assert grid(smooth=False) > 1.8
    assert grid(smooth=True) < 1.3


def test_resampling_does_not_alias() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(32).expand(1, 1, 4, 64)
    assert (resample(stripes, (4, 16), circular=True) - 0.5).abs().max() < 0.01


def test_mirrors_are_numpys() -> None:
    import numpy as np

    for length, before, after in [(1, 5, 3), (4, 9, 0), (7, 3, 20)]:
        wanted = np.pad(np.arange(length), (before, after), mode="symmetric")
        assert mirrored(torch.arange(-before, length + after), length).tolist() == wanted.tolist()


# The optimisation


def quadratic(scale: Tensor, lowest: Tensor) -> Objective:
    def objective(x: Tensor) -> tuple[float, Tensor]:
        return (scale * (x - lowest).square()).sum().item() / 2, scale * (x - lowest)

    return objective  # type: ignore[return-value]


def test_minimise_finds_the_lowest_point_inside_the_bounds() -> None:
    scale, lowest = 10 ** (2 * noise(200).double()), 3 * noise(200, seed=1).double() - 1
    seen: list[float] = []
    x = minimise(quadratic(scale, lowest), torch.full_like(scale, 0.5), 200, watch=lambda _, loss: seen.append(loss))
    torch.testing.assert_close(x, lowest.clamp(0, 1), atol=1e-3, rtol=0)
    assert seen == sorted(seen, reverse=True)
    assert len(seen) <= 200


def test_minimise_stops_where_there_is_nothing_to_gain() -> None:
    evaluations: list[int] = []
    start = torch.full((5,), 0.3)
    x = minimise(quadratic(torch.ones(5), start), start, 50, watch=lambda step, _: evaluations.append(step))
    assert torch.equal(x, start)
    assert evaluations == [1]


def test_minimise_goes_where_values_are_likely() -> None:
    lowest = 0.5 + 0.2 * torch.tensor([1.0, 1, -1])[None, :, None, None]  # as far off the grey axis as along it
    start = torch.full((1, 3, 4, 4), 0.5)
    grey = torch.full((3, 3), 1 / 3)
    found = minimise(quadratic(torch.ones_like(start), lowest), start, 2, likely=(grey + 0.01 * torch.eye(3)).tolist())
    moved = (found - start)[0, :, 0, 0]
    assert moved.std() < 0.1 * moved.mean().abs()
    found = minimise(quadratic(torch.ones_like(start), lowest), start, 60, likely=(grey + 0.01 * torch.eye(3)).tolist())
    torch.testing.assert_close(found, lowest.expand_as(found), atol=1e-3, rtol=0)  # it gets there in the end


def test_a_grey_sample_gets_no_coloured_grain() -> None:
    sample = gravel(64).mean(0, keepdim=True).expand(3, -1, -1)
    made = synthesiser()(sample, (48, 48), steps=30)
    colour = made - made.mean(0)
    assert colour.std() < 0.1 * made.std()  # as any colour: 0.45


def test_minimise_counts_its_evaluations() -> None:
    calls = []

    def rosenbrock(x: Tensor) -> tuple[float, Tensor]:
        calls.append(0)
        y = (4 * x - 2).requires_grad_()
        loss = (100 * (y[1:] - y[:-1].square()).square() + (1 - y[:-1]).square()).sum()
        (gradient,) = torch.autograd.grad(loss, y)
        return loss.item(), 4 * gradient

    for evaluations in (1, 2, 7, 150):
        calls.clear()
        x = minimise(rosenbrock, torch.full((6,), 0.1), evaluations)
        assert len(calls) <= evaluations
    assert rosenbrock(x)[0] < 1e-3


@pytest.mark.parametrize("kind", ["vgg", "random"])
@pytest.mark.parametrize("loss", ["gram", "shifted", "swd"])
def test_tiles_give_the_same_loss_and_gradient(kind: str, loss: str) -> None:
    descriptor = untrained() if kind == "vgg" else RandomFilters(1, (3, 55), circular=True)
    targets = sample_features(descriptor, gravel()[None])
    made = make_loss(loss, 0, descriptor.trust, targets)  # type: ignore[arg-type]
    canvas = noise(1, 3, 64, 48)
    whole = Objective(descriptor, made, torch.float32)(canvas)
    tiled = Objective(descriptor, made, torch.float32, whole=0, tile=32)(canvas)
    assert tiled[0] == pytest.approx(whole[0], rel=1e-4)
    torch.testing.assert_close(tiled[1], whole[1], rtol=1e-3, atol=1e-4 * whole[1].abs().max().item())


def test_the_gradient_is_that_of_the_loss() -> None:
    descriptor = untrained().double()
    loss = SlicedWassersteinLoss(
        [layer.float() for layer in sample_features(descriptor, gravel()[None].double())], redraw=False
    )
    objective = Objective(descriptor, loss, torch.float32)
    canvas, direction = noise(1, 3, 32, 32).double(), noise(1, 3, 32, 32, seed=1).double() - 0.5
    _, gradient = objective(canvas)
    ahead, behind = (objective(canvas + step * direction)[0] for step in (1e-3, -1e-3))
    assert (ahead - behind) / 2e-3 == pytest.approx((gradient * direction).sum().item(), rel=0.02)


def test_nothing_around_a_sample_is_part_of_its_features() -> None:
    descriptor = untrained()
    wide = noise(1, 3, 32 + 2 * REACH, 32 + 2 * REACH)
    mirrored_by_hand = wide.clone()
    inside = slice(REACH, REACH + 32)
    sample = wide[..., inside, inside]
    rows = mirrored(torch.arange(-REACH, 32 + REACH), 32)
    mirrored_by_hand[:] = sample[:, :, rows][..., rows]
    for layer, whole in zip(
        sample_features(descriptor, sample), untrained(circular=False)(mirrored_by_hand), strict=True
    ):
        s = len(rows) // whole.shape[-1]
        here = slice(REACH // s, (REACH + 32) // s)
        torch.testing.assert_close(layer, whole[..., here, here])


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3, 50), (33, 47)])
def test_samples_of_any_size_have_features(size: tuple[int, int]) -> None:
    layers = sample_features(untrained(), noise(1, 1, *size))
    assert [tuple(layer.shape[2:]) for layer in layers] == [tuple(-(-side // 2**i) for side in size) for i in range(5)]


def test_a_mixture_of_losses_is_the_loss_of_the_mixed_matrices() -> None:
    descriptor = untrained()
    one, two = (sample_features(descriptor, image[None]) for image in (gravel(), noise(3, 48, 48)))
    mixed = Mixed([GramLoss(one), GramLoss(two)], [0.25, 0.75])
    wanted = GramLoss(one)
    wanted.targets = [0.25 * a + 0.75 * b for a, b in zip(wanted.targets, GramLoss(two).targets, strict=True)]
    canvas = noise(1, 3, 32, 32, seed=2)
    gradients = [Objective(descriptor, loss, torch.float32)(canvas)[1] for loss in (mixed, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5 * gradients[0].abs().max().item())


def test_noise_has_the_colours_of_the_sample() -> None:
    sample = 0.3 + 0.4 * gravel(64)
    made = noise_like([sample[None]], [1.0], (256, 256), seed=3)[0]
    torch.testing.assert_close(made.mean((1, 2)), sample.mean((1, 2)), atol=0.01, rtol=0)
    torch.testing.assert_close(torch.cov(made.flatten(1)), torch.cov(sample.flatten(1)), atol=1e-3, rtol=0.05)


# Colours


def test_matched_colours_are_the_samples() -> None:
    sample = gravel(64)
    grey = match_colours(noise(1, 64, 64), sample[:1])
    assert torch.equal(grey.flatten().sort().values, sample[0].flatten().sort().values)
    matched = match_colours(noise(3, 50, 40), sample)
    torch.testing.assert_close(matched.mean((1, 2)), sample.mean((1, 2)), atol=0.01, rtol=0)
    torch.testing.assert_close(torch.cov(matched.flatten(1)), torch.cov(sample.flatten(1)), atol=2e-3, rtol=0.1)
    assert torch.equal(match_colours(sample, sample), match_colours(sample, sample))


def test_coloured_grey_keeps_its_luminance_and_finds_the_samples_colours() -> None:
    grey, sample = noise(1, 20, 30), gravel()
    made = coloured(grey, sample)
    torch.testing.assert_close(luminance(made), grey)
    # Colours that are a straight line over luminance come back exactly.
    y = noise(1, 40, 40, seed=1)
    line = torch.cat([0.5 * y + 0.1, y, 1.2 * y - 0.05])
    torch.testing.assert_close(coloured(luminance(line), line), line, atol=1e-5, rtol=0)
    assert torch.equal(coloured(grey, sample[:1]), grey)
    torch.testing.assert_close(luminance(coloured(grey, torch.full((3, 4, 4), 0.2))), grey)
    assert sum(LUMA) == pytest.approx(1)


def test_a_mixtures_palette_has_something_of_each_and_no_preference_for_places() -> None:
    stripes = torch.zeros(1, 64, 64)
    stripes[..., ::4] = 1
    mixed = palette([stripes, torch.full((1, 64, 64), 0.5)], [0.25, 0.75])
    assert mixed.shape == (1, 1, 64 * 64)
    dark_or_light = mixed[mixed != 0.5]
    assert len(dark_or_light) == 1024
    assert dark_or_light.mean().item() == pytest.approx(0.25, abs=0.05)
    tiny = palette([torch.zeros(1, 1, 1), torch.ones(1, 1, 1), torch.ones(1, 1, 1)], [0.5, 0.5, 0])
    assert tiny.flatten().tolist() == [0, 1]
    assert torch.equal(palette([stripes], [1.0])[0, 0], stripes.flatten())


# Whole textures


def test_a_texture_is_closer_to_its_sample_than_noise_and_no_copy() -> None:
    sample = gravel(64)
    seen: list[Progress] = []
    texture = synthesiser()(sample, (40, 56), start="noise", steps=30, watch=seen.append)
    assert texture.shape == (3, 40, 56)
    assert 0 <= texture.min() < texture.max() <= 1
    of_level = [[p.loss for p in seen if p.level == level] for level in (1, 2)]
    assert all(losses[-1] < losses[0] / 3 for losses in of_level)
    assert [p.step for p in seen] == [*range(1, 31)] * 2
    assert seen[-1].size == (64, 80)
    measured = synthesiser().measure(texture, sample)
    at_random = synthesiser().measure(noise_like([sample[None]], [1.0], (40, 56), 0)[0], sample)
    for layer, distance in measured["gram_distance"].items():
        assert distance < at_random["gram_distance"][layer] / 3, layer
    assert measured["copy_rate"] == 0


@pytest.mark.parametrize("loss", ["shifted", "gram", "swd"])
def test_same_seed_same_texture(loss: LossName) -> None:
    first, again, other = (synthesiser()(gravel(), (32, 32), loss=loss, steps=5, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.05


@pytest.mark.parametrize("loss", ["shifted", "gram", "swd"])
def test_layers_count_as_far_as_they_are_trusted(loss: LossName) -> None:
    """Where only the first layer is trusted, what the others say changes nothing."""
    textures = []
    for scale in (1.0, 3.0):
        descriptor = untrained()
        descriptor.trust = (1.0, 0.0, 0.0, 0.0, 0.0)
        with torch.no_grad():
            descriptor.convolutions()[-1].weight *= scale
        textures.append(Texture(TorchEye(descriptor, CPU))(gravel(), (32, 32), loss=loss, steps=5))
    assert torch.equal(*textures)
    assert not torch.equal(textures[0], synthesiser()(gravel(), (32, 32), loss=loss, steps=5))


def test_random_filters_make_textures_too() -> None:
    texture = Texture(TorchEye(RandomFilters(4, (3, 7, 15), circular=True), CPU))
    seen: list[Progress] = []
    made = texture(gravel(), (24, 32), start="noise", steps=15, watch=seen.append)
    assert made.shape == (3, 24, 32)
    assert seen[-1].loss < seen[0].loss / 3


@pytest.mark.parametrize("size", [(64, 64), (50, 90)])
def test_a_tileable_texture_has_no_seam(size: tuple[int, int]) -> None:
    sample = resample(gravel(20)[None], (80, 80), circular=False)[0]  # smooth, so that a seam would show
    scores = {
        tileable: seam_scores(synthesiser()(sample, size, tileable=tileable, steps=20)) for tileable in (True, False)
    }
    assert max(scores[True].values()) < 3
    assert max(scores[False].values()) > max(5, *scores[True].values())


def test_the_descriptor_has_no_border_for_a_torus() -> None:
    loss = GramLoss(sample_features(untrained(), gravel()[None]))
    canvas = noise(1, 3, 48, 32)
    moved = canvas.roll((16, 16), (2, 3))
    here, there = (Objective(untrained(), loss, torch.float32)(x) for x in (canvas, moved))
    turned = Objective(untrained(), loss, torch.float32)
    turned.shift = (16, 16)
    torch.testing.assert_close(turned(canvas)[1], here[1], rtol=1e-3, atol=1e-3 * here[1].abs().max().item())
    assert here[0] == pytest.approx(there[0], rel=1e-4)
    torch.testing.assert_close(
        here[1].roll((16, 16), (2, 3)), there[1], rtol=1e-3, atol=1e-3 * here[1].abs().max().item()
    )


def test_a_grey_sample_gives_a_grey_texture_and_luminance_colours_it() -> None:
    assert synthesiser()(gravel()[:1], (20, 30), steps=3).shape == (1, 20, 30)
    made = synthesiser()(gravel(), (20, 30), steps=3, colour="luminance")
    assert made.shape == (3, 20, 30)
    colours = made.flatten(1) - made.flatten(1).mean(1, keepdim=True)
    assert torch.linalg.matrix_rank(colours, rtol=1e-3) == 1  # all on one line


def test_matched_textures_have_the_samples_colours() -> None:
    sample = gravel(64)
    made = synthesiser()(sample, (64, 64), steps=3, colour="match")
    torch.testing.assert_close(made.mean((1, 2)), sample.mean((1, 2)), atol=0.01, rtol=0)
    torch.testing.assert_close(made.std((1, 2)), sample.std((1, 2)), atol=0.02, rtol=0)


def test_mixtures_lie_between_their_samples() -> None:
    bright, dark = 0.3 * gravel() + 0.7, 0.3 * gravel()
    brightness = [
        synthesiser()([bright, dark], (32, 32), mix=mix, steps=20).mean().item() for mix in ((1, 0), (1, 1), (0, 2))
    ]
    alone = synthesiser()(bright, (32, 32), steps=20)
    assert brightness[0] == pytest.approx(alone.mean().item(), abs=0.02)
    assert brightness[0] > brightness[1] + 0.1 > brightness[2] + 0.2
    assert synthesiser()([bright, dark[:1]], (20, 20), steps=2).shape == (3, 20, 20)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 1), (3, 2, 70)])
def test_tiny_samples(shape: tuple[int, int, int]) -> None:
    made = synthesiser()(noise(*shape), (9, 17), steps=3)
    assert made.shape == (shape[0], 9, 17)
    assert made.isfinite().all()
    assert synthesiser()(noise(*shape), (1, 1), steps=2, tileable=True).shape == (shape[0], 1, 1)


def test_one_colour_stays_that_colour() -> None:
    sample = torch.tensor([0.2, 0.5, 0.9])[:, None, None].expand(3, 40, 40)
    for colour in ("keep", "match", "luminance"):
        made = synthesiser()(sample, (30, 20), steps=10, colour=colour)  # type: ignore[arg-type]
        torch.testing.assert_close(made, sample[:, :30, :20], atol=0.005, rtol=0)
    assert synthesiser().measure(sample, sample)["seam"] == {"horizontal": 0.0, "vertical": 0.0}


def test_all_of_a_large_sample_is_used_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = noise(3, 100, 60)
    parts = pieces(sample, 32 * 32)
    assert max(part[0].numel() for part in parts) <= 32 * 32
    assert sum(part.sum().item() for part in parts) == pytest.approx(sample.sum().item())
    assert len(pieces(noise(1, 1, 5000), 100)) == PIECES
    assert pieces(sample, 6000)[0].shape == sample.shape
    seen: list[int] = []
    look = by_torch.sample_features
    monkeypatch.setattr(by_torch, "sample_features", lambda d, s: (seen.append(s[0, 0].numel()), look(d, s))[1])
    in_pieces = Texture(TorchEye(untrained(), CPU), sample_pixels=32 * 32)
    in_pieces(sample, (1, 2), tileable=True, steps=1)
    assert 0 < max(seen) <= 2 * 32 * 32  # stretched to whole pixels
    bright = torch.cat([torch.zeros(3, 90, 60), torch.ones(3, 30, 60)], 1)
    made = in_pieces(bright, (32, 32), start="noise", steps=30)
    assert made.mean().item() == pytest.approx(0.25, abs=0.1)  # of its middle it would be 0
    assert crop_middle(sample, 1024)[0].numel() <= 1024


def test_what_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "available_memory", lambda device: 10**8)
    with pytest.raises(ImageError, match=r"2000x1000 pixels takes about .* GB of memory, 0.1 GB are free"):
        synthesiser()(gravel(), (1000, 2000))


def test_the_memory_that_is_needed_grows_with_the_texture() -> None:
    descriptor = untrained()
    sizes = [bytes_needed(descriptor, (side, side), 3, torch.float32, 3) for side in (512, 1024, 2048, 4096)]
    assert sizes == sorted(sizes)
    assert sizes[3] / sizes[2] < 4  # a tile's graph does not grow


def test_wrong_arguments_are_named() -> None:
    make = synthesiser()
    for arguments, options, message in [
        ((noise(2, 8, 8),), {}, r"\(1 or 3, H, W\)"),
        ((noise(8, 8),), {}, r"\(1 or 3, H, W\)"),
        ((noise(3, 0, 8),), {}, r"\(1 or 3, H, W\)"),
        (([],), {}, "0 samples"),
        ((noise(3, 8, 8), (0, 8)), {}, "1x1"),
        ((noise(3, 8, 8),), {"steps": 0}, "step"),
        ((noise(3, 8, 8),), {"mix": (1, 1)}, "2 shares"),
        ((noise(3, 8, 8),), {"mix": (0,)}, "not all 0"),
        ((noise(3, 8, 8),), {"mix": (float("nan"),)}, "shares"),
        ((noise(3, 8, 8),), {"colour": "red"}, "colour"),
        ((noise(3, 8, 8),), {"loss": "l2"}, "loss"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(*arguments, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="circular"):
        TorchEye(untrained(circular=False), CPU)


def test_it_begins_with_patches_unless_it_is_to_begin_with_noise_or_is_a_mixture() -> None:
    sample = gravel(64)
    seen: list[tuple[int, int]] = []
    first = synthesiser()(
        sample, (40, 40), steps=3, watch=lambda progress: seen.append((progress.levels, progress.step))
    )
    assert seen == [(1, 1), (1, 2), (1, 3)]
    assert torch.equal(first, synthesiser()(sample, (40, 40), start="patches", steps=3))
    there = {tuple(pixel) for pixel in sample.flatten(1).T.tolist()}
    for start, copied in (("patches", True), ("noise", False)):
        untouched = synthesiser()(sample, (40, 40), start=start, steps=1)  # type: ignore[arg-type]
        assert ({tuple(pixel) for pixel in untouched.flatten(1).T.tolist()} <= there) == copied
    with pytest.raises(ValueError, match="of one sample"):
        synthesiser()([sample, sample], (32, 32), start="patches")
    with pytest.raises(ValueError, match="start is one of"):
        synthesiser()(sample, (32, 32), start="middle")  # type: ignore[arg-type]
