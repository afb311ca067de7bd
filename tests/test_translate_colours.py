"""Colours laid under a lightness: the size that the network sees, enlargement, and hints spread over the picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from PIL import Image, ImageColor
from skimage import color
from skimage import data as photographs

import img2img
from img2img.errors import ImageError, InputError
from img2img.tasks.translate import colours, hints
from img2img.tasks.translate.coding import ab_of, lightness_of
from img2img.tasks.translate.hints import Hints, Point, spread, told_by, with_hints
from img2img.tasks.translate.sizes import Enlarged, resized

ASTRONAUT = np.asarray(Image.fromarray(photographs.astronaut()).resize((256, 256)))
GREY = np.asarray(Image.fromarray(ASTRONAUT).convert("L"))
RNG = np.random.default_rng(0)


def shipped(x: Any, **options: Any) -> Any:
    return img2img.translate(x, model="colorize", device="cpu", engine="onnx", **options)


def test_a_and_b_are_those_of_scikit_image() -> None:
    image = RNG.random((1, 3, 20, 30), np.float32)
    wanted = color.rgb2lab(image[0].transpose(1, 2, 0))[..., 1:].transpose(2, 0, 1)
    np.testing.assert_allclose(ab_of(image)[0], wanted, atol=0.05)


def test_rows_are_enlarged_as_pillow_does_but_for_the_border() -> None:
    plane = RNG.random((30, 40), np.float32)
    large = Enlarged(plane[None], 90, 110)
    rows = np.concatenate([large.rows(0, 33), large.rows(33, 34), large.rows(34, 90)], 1)[0]
    np.testing.assert_allclose(rows[9:-9, 9:-9], resized(plane, (90, 110))[9:-9, 9:-9], atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (40, 50), (700, 3), (600, 900)])
def test_the_network_sees_known_sizes_alone_and_the_lightness_stays(size: tuple[int, int]) -> None:
    seen = []

    def network(x: np.ndarray) -> np.ndarray:
        seen.append(x.shape)
        return np.concatenate((0.1 + 0.05 * x, -0.15 + 0 * x), 1)

    source = np.linspace(-0.2, 0.5, size[0] * size[1], dtype=np.float32).reshape(1, 1, *size)
    result = colours.coloured(network, source, hints.NO_HINTS)
    assert result.shape == (3, *size)
    assert [min(shape[2:]) for shape in seen] == [s for s in colours.SIZES for _ in range(2)] or max(size) > 8 * min(
        size
    )
    assert max(max(shape) for shape in seen) <= colours.LONGEST
    np.testing.assert_allclose(lightness_of(result[None]), 50 * (source + 1), atol=0.05)
    np.testing.assert_allclose(ab_of(result[None])[0, 1], -16.5, atol=0.5)


def test_a_mirrored_picture_gets_mirrored_colours() -> None:
    there, back = shipped(GREY), shipped(np.ascontiguousarray(GREY[:, ::-1]))[:, ::-1]
    assert np.abs(there.astype(int) - back).max() <= 1


def test_colours_do_not_depend_on_the_number_of_pixels() -> None:
    """The very flaw: a photograph three times as large was coloured differently."""
    large = np.asarray(Image.fromarray(GREY).resize((768, 768), Image.Resampling.BICUBIC))
    small, back = shipped(GREY), np.asarray(Image.fromarray(shipped(large)).resize((256, 256), Image.Resampling.BOX))
    apart = np.abs(ab_of(_chw(small)) - ab_of(_chw(back)))
    assert apart.mean() < 0.5


def _chw(image: np.ndarray) -> np.ndarray:
    return image.transpose(2, 0, 1)[None].astype(np.float32) / 255


# ---- hints


def test_spreading_solves_the_least_squares_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with a direct solution of the normal equations, built edge by edge."""
    monkeypatch.setattr(hints, "ENOUGH", 1e-6)
    h, w = 17, 20
    across, down = RNG.random((h, w - 1), np.float32) + 0.1, RNG.random((h - 1, w), np.float32) + 0.1
    held = (RNG.random((h, w)) < 0.1).astype(np.float32) * hints.HELD
    wanted = RNG.normal(0, 20, (2, h, w)).astype(np.float32)
    matrix = np.diag(held.ravel().astype(np.float64) + hints.FADING)
    number = np.arange(h * w).reshape(h, w)
    edges = [*zip(number[:, 1:].flat, number[:, :-1].flat, across.flat, strict=True)]
    for i, j, tie in [*edges, *zip(number[1:].flat, number[:-1].flat, down.flat, strict=True)]:
        for a, b, value in ((i, i, tie), (j, j, tie), (i, j, -tie), (j, i, -tie)):
            matrix[a, b] += value
    exact = [np.linalg.solve(matrix, (held * plane).ravel()).reshape(h, w) for plane in wanted]
    np.testing.assert_allclose(spread(across, down, held, wanted), exact, atol=0.05)


def test_a_hint_fills_what_it_lies_in_and_stops_at_an_edge() -> None:
    lightness = np.full((40, 60), 20, np.float32)
    lightness[:, 30:] = 80
    red = Hints([Point(10, 20, (1.0, 0.0, 0.0)), Point(50, 20, (0.5, 0.5, 0.5))])
    ab = with_hints(np.zeros((2, 40, 60), np.float32), lightness, red, 40, 60)
    wanted = ab_of(np.array([1, 0, 0], np.float32).reshape(1, 3, 1, 1))[0, :, 0, 0]
    np.testing.assert_allclose(ab[:, 20, 10], wanted, atol=8)
    assert ab[0, :, :29].min() > 0.6 * wanted[0]
    assert abs(ab[:, :, 31:]).max() < 0.3 * wanted[0]
    assert ab[0].max() <= wanted[0] + 1e-3  # nothing overshoots


def test_true_points_bring_photographs_nearer_to_themselves() -> None:
    alone, hinted = [], []
    for photo in (ASTRONAUT, photographs.coffee()[:256, 100:400], photographs.chelsea()[:256, 100:400]):
        height, width = photo.shape[:2]
        rng = np.random.default_rng(0)
        places = zip(rng.integers(0, width, 20).tolist(), rng.integers(0, height, 20).tolist(), strict=True)
        points = [(x, y, tuple(photo[y, x].tolist())) for x, y in places]
        grey = np.asarray(Image.fromarray(photo).convert("L"))
        alone.append(np.mean((shipped(grey).astype(float) - photo) ** 2))
        hinted.append(np.mean((shipped(grey, hint=points).astype(float) - photo) ** 2))
    assert np.mean(hinted) < 0.7 * np.mean(alone)


def test_hints_work_alike_at_every_size() -> None:
    """A point and a picture of hints belong to places in the scene, whatever its number of pixels."""
    large = np.asarray(Image.fromarray(GREY).resize((512, 512), Image.Resampling.BICUBIC))
    small = shipped(GREY, hint=[(60, 175, "orangered")])
    back = np.asarray(Image.fromarray(shipped(large, hint=[(121, 351, "orangered")])).resize((256, 256)))
    assert np.abs(ab_of(_chw(small)) - ab_of(_chw(back))).mean() < 1.5
    assert ab_of(_chw(small))[0, 0, 172:178, 57:63].mean() > 20


def test_what_a_picture_of_hints_says() -> None:
    image = np.zeros((3, 1, 4), np.float32) + 0.5
    image[:, 0, 1] = 1, 0, 0
    alpha = np.array([[1, 1, 0, 0]], np.float32)
    assert told_by(image, None).tolist() == [[False, True, False, False]]
    assert told_by(image, np.ones_like(alpha)).tolist() == [[False, True, False, False]]
    assert told_by(image, alpha).tolist() == [[True, True, False, False]]  # opaque grey says: grey


def test_a_picture_of_hints_and_the_same_point_agree() -> None:
    marks = np.zeros((256, 256, 4), np.uint8)
    marks[173:178, 58:63] = (*ImageColor.getrgb("orangered"), 255)
    by_marks, by_point = shipped(GREY, hints=marks), shipped(GREY, hint="60,175,orangered")
    assert np.abs(ab_of(_chw(by_marks)) - ab_of(_chw(by_point))).mean() < 4
    half = np.asarray(Image.fromarray(marks).resize((128, 128)))
    assert np.abs(ab_of(_chw(shipped(GREY, hints=half))) - ab_of(_chw(by_marks))).mean() < 2


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        ("1,2", "is no X,Y,COLOUR"),
        ("-1,2,red", "is no X,Y,COLOUR"),
        ("1.5,2,red", "is no X,Y,COLOUR"),
        ("1,2,blurple", "'blurple' is no colour"),
        ("1,2,#12", "'#12' is no colour"),
        ((1, 2), "a hint is X,Y,COLOUR or"),
        ((1, 2, (300, 0, 0)), "is no colour"),
    ],
)
def test_wrong_hints_are_said(hint: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Point.of(hint)
    assert Point.of("3, 4, TOMATO") == Point.of((3, 4, "#ff6347")) == Point.of((3, 4, (255, 99, 71)))


def test_hints_beyond_the_picture_or_of_other_proportions_are_said() -> None:
    with pytest.raises(ImageError, match="the hint at 9,2 lies outside the picture, 9x9"):
        Hints([Point(9, 2, (0, 0, 0))]).check(9, 9)
    with pytest.raises(ImageError, match="the picture of hints is 30x20, which has not the proportions of 20x30"):
        Hints((), np.zeros((3, 20, 30), np.float32), np.ones((20, 30), bool)).check(30, 20)
    Hints((), np.zeros((3, 213, 320), np.float32), np.ones((213, 320), bool)).check(1280, 1920)


@pytest.mark.usefixtures("empty_folder")
def test_hints_at_the_command_line_and_in_process() -> None:
    Image.fromarray(GREY).save("a.png")
    marks = np.zeros((128, 128, 4), np.uint8)
    marks[85:90, 27:33] = 255, 69, 0, 255
    Image.fromarray(marks).save("marks.png")
    common = ("translate", "a.png", "--model", "colorize", "--device", "cpu", "--engine", "onnx")
    points = ("--hint", "60,175,orangered", "--hint", "115,50,#e0a890")
    done = run(*common, *points, "--hints", "marks.png", "--json", "-o", "b.png")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["width"] == 256
    how: dict[str, Any] = {"model": "colorize", "device": "cpu", "engine": "onnx"}
    how |= {"hint": points[1::2], "hints": Path("marks.png").read_bytes()}
    data, _ = img2img.process("translate", Path("a.png").read_bytes(), **how)
    Path("c.png").write_bytes(data)
    assert (np.asarray(Image.open("b.png")) == np.asarray(Image.open("c.png"))).all()
    for wrong, words in {
        ("--hint", "1,2,blurple"): "'blurple' is no colour",
        ("--hints", "nowhere.png"): "nowhere.png",
        ("--hints", "a.png"): "says no colour",
    }.items():
        failed = run(*common, *wrong, "-o", "d.png")
        assert (failed.exit_code, failed.stdout, len(failed.stderr.splitlines())) == (2, "", 1)
        assert words in failed.stderr
    other = run("translate", "a.png", "--model", "edges", "--hint", "1,2,red", "--device", "cpu", "-o", "d.png")
    assert other.exit_code == 2
    assert "--hint and --hints are for models that colour grey pictures" in other.stderr
    assert run(*common, "--hint", "256,2,red", "-o", "d.png").stderr.strip().endswith("outside the picture, 256x256")
