"""Pairs: found and read from files, every fault named; and made of photographs, each kind by what defines it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from kornia.color import rgb_to_lab
from skimage import data as photographs
from skimage.feature import canny
from skimage.filters import difference_of_gaussians, gaussian
from torch import Generator, Tensor

from img2img.data.noise import to_grey
from img2img.data.pairs import PairFile, dog_lines, find_pairs, make_pair, read_pair, xdog_lines
from img2img.data.patches import PatchSource
from img2img.errors import ImageError
from img2img.images import Picture, write_picture
from img2img.metrics import psnr


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def photo(side: int = 128) -> Tensor:
    image = photographs.coffee()[100 : 100 + side, 150 : 150 + side]
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255


def save(path: Path, samples: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(Picture(samples), path, "png" if path.suffix == ".png" else "tiff")
    return path


def noise(height: int, width: int, channels: int = 3, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


# --- Files ---


def test_side_by_side_a_is_left_and_b_right(tmp_path: Path) -> None:
    samples = noise(10, 16)
    save(tmp_path / "deep/ab.png", samples)
    (pair,), problems = find_pairs(tmp_path)
    a, b = read_pair(pair)
    assert problems == []
    np.testing.assert_array_equal(np.concatenate((a, b), 1), samples)
    assert a.shape == b.shape == (10, 8, 3)


def test_two_folders_pair_equal_names_in_order(tmp_path: Path) -> None:
    for name, side, channels in [("x/2", "A", 1), ("x/2", "B", 3), ("1", "A", 3), ("1", "B", 3)]:
        save(tmp_path / side / f"{name}{'.png' if side == 'A' else '.tiff'}", noise(4, 5, channels, np.uint16))
    pairs, problems = find_pairs(tmp_path)
    assert problems == []
    assert pairs == [PairFile(tmp_path / f"A/{n}.png", tmp_path / f"B/{n}.tiff") for n in ("1", "x/2")]
    a, b = read_pair(pairs[1])
    assert (a.shape, b.shape, a.dtype) == ((4, 5, 1), (4, 5, 3), np.uint8)


def test_one_folder_of_two_is_no_pair_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    with pytest.raises(ImageError, match="holds a folder A, but no folder B with the partners"):
        find_pairs(tmp_path)


def test_what_lacks_a_partner_is_named(tmp_path: Path) -> None:
    for path in ("A/one.png", "A/both.png", "A/both.tiff", "B/both.png", "B/two.png"):
        save(tmp_path / path, noise(4, 4))
    pairs, problems = find_pairs(tmp_path)
    assert [pair.a.name for pair in pairs] == ["both.png"]
    assert [line.removeprefix(str(tmp_path) + "/") for line in problems] == [
        "A/both.tiff: both.png has the same name, so its partner is not clear",
        f"A/one.png: no partner in {tmp_path / 'B'}",
        f"B/two.png: no partner in {tmp_path / 'A'}",
    ]


def test_pairs_that_do_not_fit_are_named_with_their_sizes(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a.png", noise(4, 6)), save(tmp_path / "b.png", noise(5, 6))
    with pytest.raises(ImageError) as caught:
        read_pair(PairFile(a, b))
    assert str(caught.value) == f"{a} is 6x4, but its partner {b} is 6x5"
    odd = save(tmp_path / "odd.png", noise(4, 7))
    with pytest.raises(ImageError, match=r"odd.png: 7x4 is no pair side by side: its width is odd"):
        read_pair(PairFile(odd))
    (tmp_path / "text.png").write_text("I am no picture")
    with pytest.raises(ImageError, match=r"text.png: not an image"):
        read_pair(PairFile(a, tmp_path / "text.png"))


# --- Made of photographs ---


@pytest.mark.parametrize("kind", ["gray", "edges", "blank", "down", "jpeg"])
@pytest.mark.parametrize("size", [(33, 47), (16, 16)])
def test_every_kind_keeps_the_photograph_and_its_size_and_has_8_bits(kind: str, size: tuple[int, int]) -> None:
    image = photo()[..., : size[0], : size[1]].expand(2, -1, -1, -1)
    a, b = make_pair(kind, image, generator())  # type: ignore[arg-type]
    assert torch.equal(b, image)
    assert a.shape == (2, 1 if kind in ("gray", "edges") else 3, *size)
    assert 0 <= a.min() <= a.max() <= 1
    torch.testing.assert_close(a * 255, (a * 255).round(), atol=1e-3, rtol=0)
    again, _ = make_pair(kind, image, generator())  # type: ignore[arg-type]
    assert torch.equal(a, again)


def test_gray_has_the_lightness_of_the_photograph_and_no_colour() -> None:
    a, b = make_pair("gray", photo(), generator())
    lab = rgb_to_lab(a.expand(-1, 3, -1, -1))
    assert (lab[:, 0] - rgb_to_lab(b)[:, 0]).abs().max() < 0.8  # of 100: half a grey level in the darkest parts
    assert lab[:, 1:].abs().max() < 0.02


def test_edges_are_black_on_white_where_scikit_image_finds_them() -> None:
    image = photo(256)
    ours = make_pair("edges", image, generator())[0][0, 0] == 0
    assert set((make_pair("edges", image, generator())[0]).unique().tolist()) == {0.0, 1.0}
    theirs = torch.from_numpy(canny(to_grey(image)[0, 0].numpy(), sigma=2, low_threshold=0.1, high_threshold=0.2))
    near = torch.nn.functional.max_pool2d(theirs[None].float(), 5, 1, 2)[0] > 0
    assert 0.01 < ours.float().mean() < 0.2
    assert (ours & near).sum() > 0.9 * ours.sum()


def test_softer_lines_are_where_two_blurs_differ() -> None:
    image = photo()
    grey = to_grey(image)[0, 0].double().numpy()
    response = difference_of_gaussians(grey, 1.0, 1.6, mode="nearest", truncate=3)
    expected = 1 - np.clip(20 * (np.abs(response) - 0.01), 0, 1)
    np.testing.assert_allclose(dog_lines(image)[0, 0].numpy(), expected, atol=2e-3)


def test_ink_is_black_where_a_sharpened_picture_is_dark() -> None:
    image = photo()
    grey = to_grey(image)[0, 0].double().numpy()
    blurred = gaussian(grey, 0.8, mode="nearest", truncate=3)
    sharpened = blurred + 20 * difference_of_gaussians(grey, 0.8, 1.28, mode="nearest", truncate=3)
    expected = np.where(sharpened >= 0.4, 1, 1 + np.tanh(10 * (sharpened - 0.4)))
    np.testing.assert_allclose(xdog_lines(image)[0, 0].numpy(), expected, atol=2e-3)
    black, white = torch.full((1, 3, 16, 16), 0.2), torch.full((1, 3, 16, 16), 0.6)
    assert xdog_lines(black).max() < 0.05
    assert xdog_lines(white).min() == 1


def test_blank_is_one_grey_rectangle_and_elsewhere_the_photograph() -> None:
    image = torch.rand(20, 3, 40, 60, generator=generator()).mul(0.4)
    a, _ = make_pair("blank", image, generator())
    outside = (a - image).abs().amax(1) < 1 / 255
    places = set()
    for hole in ~outside:
        rows, columns = hole.nonzero().T
        height, width = (int(line.max() - line.min()) + 1 for line in (rows, columns))
        assert hole.sum() == height * width
        assert 10 <= height <= 20
        assert 15 <= width <= 30
        places.add((int(rows.min()), int(columns.min())))
    assert len(places) > 15
    assert a[(~outside)[:, None].expand_as(a)].unique().item() == pytest.approx(128 / 255)


def test_down_and_jpeg_lose_what_they_should() -> None:
    image = photo(256)
    down, saved = (make_pair(kind, image, generator())[0] for kind in ("down", "jpeg"))  # type: ignore[arg-type]
    assert 20 < psnr(down, image) < 35
    assert 20 < psnr(saved, image) < 35
    flat = torch.full((1, 3, 32, 32), 51 / 255)
    torch.testing.assert_close(make_pair("down", flat, generator())[0], flat)
    fine = (torch.arange(64) % 2).float().expand(1, 3, 64, 64)  # lines of one pixel cannot outlive it
    assert make_pair("down", fine, generator())[0][..., 16:-16].std() < 0.02


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(ValueError, match="gray, edges, blank, down, jpeg"):
        make_pair("sepia", photo(), generator())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="canny, dog, xdog"):
        make_pair("edges", photo(), generator(), "sobel")  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="40x15 is too small"):
        make_pair("gray", photo()[..., :15, :40], generator())


# --- Crops ---


def test_crops_of_pairs_stay_upright_and_together() -> None:
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    pair = np.concatenate((image, 255 - image), 2)
    crops = PatchSource([pair], torch.device("cpu"), upright=True).sample(200, 3, generator())
    torch.testing.assert_close(crops[:, :3], 1 - crops[:, 3:])
    seen = {(crop[:3] * 255).round().byte().permute(1, 2, 0).contiguous().numpy().tobytes() for crop in crops}
    wanted = set()
    for top in range(2):
        for left in range(3):
            crop = image[top : top + 3, left : left + 3]
            wanted |= {np.ascontiguousarray(turned).tobytes() for turned in (crop, crop[:, ::-1])}
    assert seen == wanted
