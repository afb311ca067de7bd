"""Losses of textures against loops, closed forms and what they must not see."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from img2img.tasks.texture.loss import (
    GramLoss,
    SlicedWassersteinLoss,
    at_quantiles,
    gram_matrix,
    shifted_gram,
    unit_vectors,
)
from img2img.tasks.texture.ranking import order_of, sorted_rows


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=Generator().manual_seed(seed))


def shuffled(layer: Tensor) -> Tensor:
    order = torch.randperm(layer[0, 0].numel(), generator=Generator().manual_seed(9))
    return layer.flatten(2)[..., order].view_as(layer)


def test_a_gram_matrix_is_what_loops_make_of_it() -> None:
    f = features(2, 3, 4, 5)
    gram = gram_matrix(f)
    assert gram.shape == (2, 3, 3)
    for b in range(2):
        for i in range(3):
            for j in range(3):
                products = [f[b, i, y, x] * f[b, j, y, x] for y in range(4) for x in range(5)]
                assert gram[b, i, j].item() == pytest.approx(sum(products).item() / 20, rel=1e-5)  # type: ignore[union-attr]


def test_a_gram_matrix_keeps_float32_under_autocast() -> None:
    f = features(1, 4, 64, 64) + 3
    exact = f.double().flatten(2) @ f.double().flatten(2).mT / 64**2
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(gram_matrix(f).double(), exact, rtol=1e-5, atol=0)
        assert gram_matrix(f.bfloat16()).dtype == torch.float32


def test_a_shifted_matrix_is_what_loops_make_of_it() -> None:
    f = features(2, 3, 4, 5)
    inside, torus = shifted_gram(f, 1, 2), shifted_gram(f, 1, 2, torus=True)
    for b in range(2):
        for i in range(3):
            for j in range(3):
                around = [f[b, i, y, x] * f[b, j, (y + 1) % 4, (x + 2) % 5] for y in range(4) for x in range(5)]
                within = [f[b, i, y, x] * f[b, j, y + 1, x + 2] for y in range(3) for x in range(3)]
                assert torus[b, i, j].item() == pytest.approx(sum(around).item() / 20, rel=1e-5)  # type: ignore[union-attr]
                assert inside[b, i, j].item() == pytest.approx(sum(within).item() / 9, rel=1e-5)  # type: ignore[union-attr]


def test_shifts_see_stripes_that_gram_matrices_do_not() -> None:
    stripes = torch.zeros(1, 2, 8, 8)
    stripes[:, 0, :, ::2] = stripes[:, 1, :, 1::2] = 1
    mixed = shuffled(stripes)
    plain, shifted = GramLoss([stripes], "relative"), GramLoss([stripes], "relative", shifts={0: (1, 9), 4: (1,)})
    assert plain([mixed]).item() == pytest.approx(0, abs=1e-6)
    assert shifted([mixed]) > 0.05
    assert shifted([stripes]) < 0.02  # not 0: of eight stripes seven have a neighbour
    assert len(shifted.shifted) == 2  # one position to the right, and one below: the others lie beyond


def test_gatys_loss_is_the_papers_with_sums_over_positions() -> None:
    sample, image = features(1, 6, 8, 8), features(1, 6, 8, 8, seed=1)
    sums = [f.flatten(2) @ f.flatten(2).mT for f in (sample, image)]
    expected = (sums[0] - sums[1]).square().sum() / (4 * 6**2 * 64**2)
    torch.testing.assert_close(GramLoss([sample])([image]), expected)


def test_ulyanovs_loss_is_the_mean_squared_error_of_gram_matrices_over_elements() -> None:
    sample, image = features(1, 6, 8, 8), features(1, 6, 8, 8, seed=1)
    grams = [f.flatten(2) @ f.flatten(2).mT / (6 * 64) for f in (sample, image)]
    torch.testing.assert_close(GramLoss([sample], "ulyanov")([image]), torch.nn.functional.mse_loss(*grams))


def test_relative_loss_of_twice_the_features_is_nine() -> None:
    sample = [features(1, 6, 8, 8), features(1, 4, 4, 4)]
    loss = GramLoss(sample, "relative", weights=[1, 0.5])([2 * layer for layer in sample])  # G becomes 4 G
    assert loss.item() == pytest.approx(9 * 1.5, rel=1e-5)
    assert GramLoss(sample, "relative")([0 * layer for layer in sample]).item() == pytest.approx(2)


@pytest.mark.parametrize("kind", ["gatys", "ulyanov", "relative", "wasserstein"])
def test_neither_loss_sees_where_things_are(kind: str) -> None:
    sample = [features(1, 6, 8, 8), features(1, 4, 4, 4)]
    loss = SlicedWassersteinLoss(sample) if kind == "wasserstein" else GramLoss(sample, kind)
    moved = [shuffled(layer) for layer in sample]
    assert not torch.equal(moved[0], sample[0])
    assert loss(moved).item() < 1e-9
    assert loss([layer**2 for layer in sample]).item() > 1e-4


@pytest.mark.parametrize("kind", ["gatys", "ulyanov", "relative", "wasserstein"])
def test_a_batch_is_the_mean_of_its_images(kind: str) -> None:
    sample, images = [features(1, 3, 6, 6)], features(2, 3, 5, 7, seed=1)

    def loss(image: Tensor) -> Tensor:
        return SlicedWassersteinLoss(sample)([image]) if kind == "wasserstein" else GramLoss(sample, kind)([image])

    torch.testing.assert_close(loss(images), (loss(images[:1]) + loss(images[1:])) / 2)


@pytest.mark.parametrize("kind", ["gatys", "wasserstein"])
def test_gradients_reach_the_features_and_lower_the_loss(kind: str) -> None:
    sample, image = [features(1, 4, 8, 8)], features(1, 4, 6, 6, seed=1).requires_grad_()
    loss = GramLoss(sample) if kind == "gatys" else SlicedWassersteinLoss(sample, redraw=False)
    before = loss([image])
    (gradient,) = torch.autograd.grad(before, image)
    assert (gradient != 0).all()
    assert loss([image - 0.01 * gradient / gradient.abs().max()]).item() < before.item()


def test_sliced_wasserstein_of_a_shift_is_the_shift_along_the_directions() -> None:
    sample, shift = features(1, 5, 9, 9), torch.tensor([0.3, -1, 2, 0, 0.5])
    loss = SlicedWassersteinLoss([sample], Generator().manual_seed(4), directions=7)
    axes = unit_vectors(5, 7, Generator().manual_seed(4))
    expected = (axes @ shift).square().mean()
    torch.testing.assert_close(loss([sample + shift.view(1, 5, 1, 1)]), expected)
    # Over many directions: |shift|^2 over the number of channels.
    many = SlicedWassersteinLoss([sample], directions=20000)([sample + shift.view(1, 5, 1, 1)])
    assert many.item() == pytest.approx(shift.square().sum().item() / 5, rel=0.03)


def test_sliced_wasserstein_sees_what_gram_matrices_do_not() -> None:
    """Numbers -1 and 1 against 0 and the square root of 2: the same mean square, another distribution."""
    sample = torch.tensor([-1.0, 1, -1, 1]).view(1, 1, 2, 2)
    image = torch.tensor([0, 0, 2**0.5, -(2**0.5)]).view(1, 1, 2, 2)
    assert GramLoss([sample])([image]).item() == pytest.approx(0, abs=1e-12)
    # By ranks -1 meets -1.41 and 0, 1 meets 0 and 1.41.
    expected = (2 * (2**0.5 - 1) ** 2 + 2) / 4
    assert SlicedWassersteinLoss([sample])([image]).item() == pytest.approx(expected, rel=1e-5)


def test_directions_are_drawn_anew_unless_kept_and_repeat_with_the_seed() -> None:
    sample, image = [features(1, 4, 8, 8)], [features(1, 4, 8, 8, seed=1)]
    anew, kept = SlicedWassersteinLoss(sample), SlicedWassersteinLoss(sample, redraw=False)
    values = [anew(image).item() for _ in range(3)]
    assert len(set(values)) == 3
    assert len({kept(image).item() for _ in range(3)}) == 1
    again = SlicedWassersteinLoss(sample)
    assert [again(image).item() for _ in range(3)] == values


@pytest.mark.parametrize("n", [10, 30, 1000])
def test_resampled_quantiles_keep_order_and_mean(n: int) -> None:
    ranked = torch.sort(features(3, 60)).values
    found = at_quantiles(ranked, n)
    assert found.shape == (3, n)
    assert (found.diff() >= 0).all()
    torch.testing.assert_close(found.mean(1), ranked.mean(1), rtol=0.05, atol=0)
    torch.testing.assert_close(at_quantiles(torch.arange(4.0), 2), torch.tensor([0.5, 2.5]))


def test_wrong_use_is_said() -> None:
    sample = [features(1, 4, 8, 8)]
    with pytest.raises(ValueError, match="gatys, ulyanov, relative"):
        GramLoss(sample, "l2")
    with pytest.raises(ValueError, match="2 weights for 1 layers"):
        GramLoss(sample, weights=[1, 2])
    with pytest.raises(ValueError, match="one sample"):
        SlicedWassersteinLoss([features(2, 4, 8, 8)])


@given(st.lists(st.sampled_from([0.0, -0.0, 1.5, -2.0, 1e-40, -1e-40, 3e38, float("inf"), -float("inf")]), max_size=30))
def test_the_order_of_rows_is_torchs_stable_one(numbers: list[float]) -> None:
    rows = torch.tensor([numbers, numbers[::-1]], dtype=torch.float32)
    assert torch.equal(order_of(rows), rows.argsort(dim=-1, stable=True))
    assert torch.equal(order_of(rows.double()), rows.argsort(dim=-1, stable=True))
    assert torch.equal(sorted_rows(rows), rows.sort(dim=-1).values)


def test_large_rows_are_ordered_as_by_torch() -> None:
    rows = torch.randn(3, 70000, generator=Generator().manual_seed(0)).round(decimals=3)
    assert torch.equal(order_of(rows), rows.argsort(dim=-1, stable=True))
    assert torch.equal(sorted_rows(rows), rows.sort(dim=-1).values)
