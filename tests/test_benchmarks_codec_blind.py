"""Sheets without names, and answers to them counted."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

pytest.importorskip("ssimulacra2")
from img2img.benchmarks import codec_blind
from img2img.benchmarks.codec_blind import EVEN, KEY, Settings, drawn, run
from img2img.errors import Img2ImgError
from img2img.images import Picture, write_picture


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("blind")
    photos = folder / "photos"
    photos.mkdir()
    for number in range(2):
        crop = np.ascontiguousarray(photographs.astronaut()[100 * number : 100 * number + 96, 150:290])
        write_picture(Picture(crop), photos / f"{number}.png", "png")
    settings = Settings(folder / "out", photos, models=("codec-fast",), rate=0.8)
    run(settings, lambda text: None)
    return settings


def answered(settings: Settings, lines: list[str]) -> Settings:
    file = settings.out / "me.txt"
    file.write_text("\n".join(lines), "utf-8")
    return Settings(settings.out, settings.data, answers=(file,))


def test_there_is_a_sheet_for_every_pair_and_it_names_nobody(asked: Settings) -> None:
    questions = json.loads((asked.out / KEY).read_text())["questions"]
    assert len(questions) == 6  # faithful, vivid and AVIF, of two pictures
    assert {frozenset((q["a"], q["b"])) for q in questions} == {
        frozenset(("codec-fast", "AVIF")),
        frozenset(("codec-fast", "codec-fast, vivid")),
        frozenset(("codec-fast, vivid", "AVIF")),
    }
    for number in range(1, 7):
        with Image.open(asked.out / f"{number:02d}.png") as sheet:
            assert not sheet.info
            assert sheet.width == 3 * codec_blind.SIDE + 2 * 6


def test_answers_are_counted_by_what_was_shown(asked: Settings) -> None:
    questions = json.loads((asked.out / KEY).read_text())["questions"]
    lines = []
    for number, question in enumerate(questions, 1):
        answer = "A" if question["a"] == "AVIF" else "B" if question["b"] == "AVIF" else EVEN
        lines.append(f"{number:02d} {answer} because")
    rows = {tuple(row["pair"]): row["chosen"] for row in run(answered(asked, lines), lambda text: None)["rows"]}
    assert rows["AVIF", "codec-fast"] == {"AVIF": 2, "codec-fast": 0, EVEN: 0}
    assert rows["AVIF", "codec-fast, vivid"] == {"AVIF": 2, "codec-fast, vivid": 0, EVEN: 0}
    assert rows["codec-fast", "codec-fast, vivid"] == {"codec-fast": 0, "codec-fast, vivid": 0, EVEN: 2}


def test_answers_that_are_none_are_said(asked: Settings, tmp_path: Path) -> None:
    with pytest.raises(Img2ImgError, match="'1 C' is not a sheet's number and A, B or ="):
        run(answered(asked, ["1 C"]), lambda text: None)
    with pytest.raises(Img2ImgError, match="no answer for sheet 2, 3, 4, 5, 6"):
        run(answered(asked, ["1 A"]), lambda text: None)
    with pytest.raises(Img2ImgError, match="write the sheets first"):
        run(Settings(tmp_path, answers=(asked.out / "me.txt",)), lambda text: None)


def test_places_are_by_chance_and_come_again() -> None:
    made = {f"{n}.png": dict.fromkeys(("original", "x", "y"), np.zeros((8, 8, 3), np.uint8)) for n in range(40)}
    questions = list(drawn(made, seed=0))
    assert questions == list(drawn(made, seed=0))
    assert questions != list(drawn(made, seed=1))
    assert 10 < sum(question.a == "x" for question in questions) < 30
    assert len({question.image for question in questions}) == 40
