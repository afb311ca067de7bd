"""Tiled equals whole: weights sum to one, and what looks no further than the discarded margin leaves no seam."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from img2img.core.tiling import GRID, tiled


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@settings(max_examples=150, deadline=None)
@given(h=st.integers(1, 90), w=st.integers(1, 90), tile=st.integers(1, 70), data=st.data())
def test_a_constant_image_comes_back_exactly(h: int, w: int, tile: int, data: st.DataObject) -> None:
    # A tile for every pixel takes seconds, and adds nothing: at most 40 tiles a side.
    overlap = data.draw(st.integers(0, max(0, min(tile - 1, tile - max(h, w) // 40 - 1))))
    result = tiled(lambda x: x, np.full((2, h, w), 0.7, np.float32), tile, overlap)
    np.testing.assert_allclose(result, np.full((2, h, w), 0.7, np.float32), atol=1e-6, rtol=0)


@settings(max_examples=40, deadline=None)
@given(h=st.integers(1, 120), w=st.integers(1, 120), tile=st.integers(9, 100), part=st.floats(0, 0.9))
def test_the_identity_gives_the_image_back(h: int, w: int, tile: int, part: float) -> None:
    image = pixels(h * w, 3, h, w)
    np.testing.assert_allclose(tiled(lambda x: x, image, tile, int(part * tile)), image, atol=1e-6, rtol=0)


def blur(x: np.ndarray) -> np.ndarray:
    return uniform_filter(x, (1, 1, 3, 3), mode="nearest")


@pytest.mark.parametrize(("h", "w", "tile", "overlap"), [(101, 67, 32, 4), (64, 300, 48, 16), (97, 97, 40, 30)])
def test_a_blur_leaves_no_seam(h: int, w: int, tile: int, overlap: int) -> None:
    image = pixels(0, 3, h, w)
    np.testing.assert_allclose(tiled(blur, image, tile, overlap), blur(image[None])[0], atol=1e-6, rtol=0)


def test_a_seam_is_a_ramp_when_tiles_disagree() -> None:
    """Tiles of value 0, 1, 2, ...: between two of them the result rises evenly, never by a jump."""
    count = iter(range(100))
    result = tiled(lambda x: np.full_like(x, next(count)), np.zeros((1, 4, 200)), 96, 32)[0, 0]
    steps = np.diff(result)
    assert result[0] == 0
    assert result[-1] == 2
    assert steps.min() >= 0
    assert steps.max() == pytest.approx(1 / 16, abs=1e-6)  # half of the overlap of 32 fades


def test_a_network_that_halves_sees_the_grid_of_the_whole_image() -> None:
    def halve_and_double(x: np.ndarray) -> np.ndarray:
        h, w = x.shape[2:]
        x = np.pad(x, ((0, 0), (0, 0), (0, -h % 16), (0, -w % 16)), mode="edge")
        cells = x.reshape(1, 1, x.shape[2] // 16, 16, -1, 16).mean((3, 5))
        return cells.repeat(16, 2).repeat(16, 3)[..., :h, :w]

    image = pixels(0, 1, 150, 210)
    result = tiled(halve_and_double, image, 2 * GRID + 20, 20)
    # Columns and rows of 16 that end at the border are averaged with its padding in both.
    np.testing.assert_allclose(result, halve_and_double(image[None])[0], atol=1e-6, rtol=0)


def test_no_tile_is_larger_than_asked_and_every_pixel_is_seen() -> None:
    sizes = []

    def note(x: np.ndarray) -> np.ndarray:
        sizes.append(tuple(x.shape))
        return x

    tiled(note, np.zeros((3, 130, 75)), 50, 10)
    assert {(b, c) for b, c, _, _ in sizes} == {(1, 3)}
    assert max(max(h, w) for _, _, h, w in sizes) == 50


def test_a_small_image_goes_straight_through() -> None:
    calls: list[np.ndarray] = []
    image = pixels(0, 3, 20, 31)
    result = tiled(lambda x: calls.append(x) or x * 2, image, 31, 8)
    assert len(calls) == 1
    assert np.array_equal(result, image * 2)


def test_the_number_of_channels_may_change_and_the_type_is_kept() -> None:
    for size in (16, 100):
        result = tiled(lambda x: x.mean(1, keepdims=True).astype(np.float64), pixels(0, 3, size, size), 40, 8)
        assert result.shape == (1, size, size)
        assert result.dtype == np.float32


def test_memory_is_the_output_and_one_tile() -> None:
    """Tiles are views of the image, and their results are let go one by one."""
    import weakref

    image, alive = pixels(0, 1, 200, 200), []

    def apply(x: np.ndarray) -> np.ndarray:
        assert np.shares_memory(x, image)
        result = x + 1
        assert sum(reference() is not None for reference in alive) <= 1  # the one before, until it is replaced
        alive.append(weakref.ref(result))
        return result

    tiled(apply, image, 50, 10)
    assert len(alive) > 9


@pytest.mark.parametrize(("tile", "overlap"), [(8, 8), (8, 9), (8, -1), (0, 0), (-4, 0)])
def test_an_overlap_that_does_not_fit_is_refused(tile: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        tiled(lambda x: x, np.zeros((1, 20, 20)), tile, overlap)


def test_wrong_images_and_results_are_refused() -> None:
    with pytest.raises(ValueError, match="floating-point"):
        tiled(lambda x: x, np.zeros((1, 3, 20, 20)), 8, 2)
    with pytest.raises(ValueError, match="floating-point"):
        tiled(lambda x: x, np.zeros((3, 20, 20), np.uint8), 8, 2)
    with pytest.raises(ValueError, match="came back"):
        tiled(lambda x: x[..., 1:], np.zeros((3, 20, 20)), 8, 2)
