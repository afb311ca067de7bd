"""Textures by patches: every pixel is the sample's, what must not be used is not, and the bytes are always the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage import data as photographs

from img2img.tasks.texture import neighbours, quilting, sheet
from img2img.tasks.texture.methods import patches
from img2img.tasks.texture.methods.patches import synthesised
from img2img.tasks.texture.neighbours import Patches
from img2img.tasks.texture.sheet import PATCH, Sheet, finer, origins, parts_of


def gravel(height: int = 96, width: int = 80, channels: int = 3) -> np.ndarray:
    grey = photographs.gravel()[:height, :width, None].astype(np.float32) / 255
    return np.concatenate([grey, 0.8 * grey + 0.1, grey**2], 2)[..., :channels]


def everywhere(sample: np.ndarray) -> np.ndarray:
    return np.ones(sample.shape[:2], bool)


def made(sample: np.ndarray, size: tuple[int, int], seed: int = 0, usable: np.ndarray | None = None) -> np.ndarray:
    mask = everywhere(sample) if usable is None else usable
    return synthesised(parts_of([sample], [mask]), size, seed)


# ---- the sheet


def test_a_part_stands_on_the_sheet_where_its_origin_says() -> None:
    samples = [gravel(20, 31), gravel(14, 9)]
    parts = parts_of(samples, [everywhere(x) for x in samples], rotate=True, mirror=True)
    assert len(parts) == 16
    whole = Sheet(parts)
    numbers = origins(parts, whole)
    pixels = np.concatenate([x.reshape(-1, 3) for x in samples])
    usable = whole.usable.reshape(-1)
    assert usable.sum() == 8 * (20 * 31 + 14 * 12)  # 9 columns are mirrored until they are 12
    expected = Sheet(parts).colours[usable]
    again = sheet._compared(pixels[numbers], usable)[usable]
    np.testing.assert_array_equal(expected, again)


def test_patches_fit_where_all_their_pixels_are_usable() -> None:
    usable = np.random.default_rng(0).random((40, 50)) < 0.99
    whole = Sheet(parts_of([gravel(40, 50)], [usable]))
    by_hand = [
        row * whole.width + column
        for row in range(whole.shape[0] - PATCH + 1)
        for column in range(whole.width - PATCH + 1)
        if whole.usable[row : row + PATCH, column : column + PATCH].all()
    ]
    assert 50 < len(by_hand) < 1000
    np.testing.assert_array_equal(whole.places, by_hand)
    rows, columns = np.divmod(whole.places, whole.width)
    for place in range(0, whole.usable.size, 7):
        away = abs(rows - place // whole.width) + abs(columns - place % whole.width)
        assert away[whole.nearest[place]] == away.min()


def test_a_map_of_places_is_enlarged_within_its_part() -> None:
    parts = parts_of([gravel(64, 48)], [everywhere(gravel(64, 48))], mirror=True)
    coarse, fine = Sheet(parts, 2), Sheet(parts, 1)
    rows, columns = np.mgrid[0:32, 0:24]
    places = (rows + coarse.tops[1]) * coarse.width + columns + PATCH
    larger = finer(places.astype(np.int32), coarse, fine, (64, 48))
    rows, columns = np.mgrid[0:64, 0:48]
    np.testing.assert_array_equal(larger, (rows + fine.tops[1]) * fine.width + columns + PATCH)


# ---- neighbours


@pytest.mark.parametrize("channels", [1, 3])
def test_vectors_keep_distances_and_are_exact_in_float32(channels: int) -> None:
    whole = Sheet(parts_of([gravel(60, 60, channels)], [everywhere(gravel(60, 60))]))
    found = Patches(whole)
    keys = found.keys.astype(np.float64)
    np.testing.assert_array_equal(keys, np.rint(keys))
    assert np.linalg.norm(keys, axis=1).max() < 2**11
    pixels = whole.colours.reshape(*whole.shape, -1).astype(float)
    rows, columns = np.divmod(whole.places[::200], whole.width)
    windows = np.stack([pixels[r : r + PATCH, c : c + PATCH].ravel() for r, c in zip(rows, columns, strict=True)])
    true = ((windows[:, None] - windows) ** 2).sum(2)
    seen = ((keys[::200][:, None] - keys[::200]) ** 2).sum(2)
    assert np.corrcoef(true.ravel(), seen.ravel())[0, 1] > 0.98
    assert (seen <= true * 1.02 + 500).all()  # some waves are left out, none counted twice


def test_nearest_of_all_is_the_weighed_minimum() -> None:
    found = Patches(Sheet(parts_of([gravel(40, 40)], [everywhere(gravel(40, 40))])))
    queries = np.rint(found.keys[::9] * 0.7 + 11).astype(np.float32)
    distances = ((queries[:, None].astype(float) - found.keys) ** 2).sum(2) / 2
    weighed = distances / (0.01 * found.variance + distances.min(0))
    best = found.among_all(queries, 0.01)
    chosen = np.take_along_axis(weighed, best[:, None].astype(int), 1)[:, 0]
    np.testing.assert_allclose(chosen, weighed.min(1), rtol=1e-5)


def test_a_search_finds_a_proposed_copy_and_never_gets_worse() -> None:
    found = Patches(Sheet(parts_of([gravel()], [everywhere(gravel())])))
    true = np.arange(0, len(found.keys), 11, dtype=np.int32)
    strange = np.random.default_rng(1).integers(0, len(found.keys), (len(true), 5), np.int32)
    chance = np.random.default_rng(0)
    best, _ = found.among_likely(found.keys[true], np.column_stack([strange, true]), 4, chance)
    np.testing.assert_array_equal(found.keys[best], found.keys[true])
    costs = [found.among_likely(found.keys[true], strange, rounds, chance)[1].mean() for rounds in (0, 2, 8)]
    assert costs[0] > costs[1] > costs[2]


# ---- quilting


def test_the_cut_is_the_cheapest_of_all_paths() -> None:
    error = np.random.default_rng(3).integers(0, 100, (5, 4))
    paths = [[c] for c in range(4)]
    for _ in range(4):
        paths = [[*path, c] for path in paths for c in range(4) if abs(c - path[-1]) <= 1]
    least = min(sum(error[row, c] for row, c in enumerate(path)) for path in paths)
    kept = quilting.cut(error)
    ends = kept.sum(1)
    assert sum(error[row, c] for row, c in enumerate(ends)) == least
    np.testing.assert_array_equal(kept, np.arange(4) < ends[:, None])


def test_a_chequerboard_is_quilted_without_a_fault() -> None:
    rows, columns = np.mgrid[0:48, 0:48]
    board = ((rows // 4 + columns // 4) % 2).astype(np.float32)[..., None]
    whole = Sheet(parts_of([board], [everywhere(board)]))
    canvas = quilting.quilted(whole, (40, 64), 15, np.random.default_rng(0))
    values = whole.colours[canvas][..., 0]
    np.testing.assert_array_equal(values, np.roll(values, (8, 16), (0, 1)))
    assert (values != np.roll(values, 4, 0)).all()


# ---- the method


@pytest.mark.parametrize("size", [(1, 1), (3, 70), (41, 67), (128, 96)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 90), (96, 80)])
def test_any_size_of_any_sample(size: tuple[int, int], shape: tuple[int, int]) -> None:
    sample = gravel(*shape)
    found = made(sample, size)
    assert (found.shape, found.dtype) == (size, np.int32)
    assert found.min() >= 0
    assert found.max() < shape[0] * shape[1]


def test_what_may_not_be_used_is_not() -> None:
    usable = np.random.default_rng(0).random((96, 80)) < 0.997
    usable[20:50, 30:60] = False
    found = made(gravel(), (90, 110), usable=usable)
    assert usable.reshape(-1)[found].all()
    assert len(np.unique(found)) > 1000
    with pytest.raises(ValueError, match="8x8 pixels"):
        made(gravel(), (90, 110), usable=np.indices((96, 80)).sum(0) % 7 > 0)


def test_the_texture_wraps_around_and_is_like_the_sample() -> None:
    sample = gravel(256, 256, 1)
    texture = sample.reshape(-1)[made(sample, (120, 130))]
    assert abs(texture.mean() - sample.mean()) < 0.02
    assert 0.9 < texture.std() / sample.std() < 1.1
    for axis in (0, 1):
        steps = abs(texture - np.roll(texture, 1, axis)).mean(1 - axis)
        assert abs(steps[0] - steps[1:].mean()) < 3 * steps[1:].std()
        true = abs(np.diff(sample[..., 0], axis=axis)).mean()
        assert 0.85 < steps.mean() / true < 1.15  # neither blurred nor noisy


def test_seeds_decide_the_texture_and_threads_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = gravel(180, 180)
    monkeypatch.setattr(patches, "BAND", 200)
    results = []
    for count in (1, 4):
        monkeypatch.setattr(patches, "threads", lambda count=count: count)
        results.append(made(sample, (150, 140), seed=3))
    np.testing.assert_array_equal(*results)
    assert (made(sample, (150, 140), seed=4) != results[0]).mean() > 0.9


def test_chunks_of_the_comparison_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = made(gravel(), (90, 90))
    monkeypatch.setattr(neighbours, "CHUNK", 2**17)
    np.testing.assert_array_equal(made(gravel(), (90, 90)), before)


def test_what_is_given_stays_and_the_rest_fits_it() -> None:
    sample = gravel(96, 96, 1)
    given = np.arange(96 * 96, dtype=np.int32).reshape(96, 96)
    given[30:60, 40:80] = quilting.NOTHING
    usable = given != quilting.NOTHING
    parts = parts_of([sample], [usable])
    found = synthesised(parts, (96, 96), given=given)
    np.testing.assert_array_equal(found[usable], given[usable])
    assert usable.reshape(-1)[found].all()
    texture = sample.reshape(-1)[found]
    seam = abs(texture[30] - texture[29])[40:80].mean()
    assert seam < 1.5 * abs(np.diff(sample[..., 0], axis=0)).mean()


def test_no_pytorch_is_needed() -> None:
    code = "import sys, img2img.tasks.texture.by_patches; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)
