"""Every study runs on little data within seconds, draws all that its page shows, and says what can be checked."""

import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from study_data import write_cifar, write_digits

from img2img.errors import DataError
from img2img.studies import BY_NAME, STUDIES
from img2img.studies.data import Labelled
from img2img.studies.drawing import png
from img2img.studies.folder import load, make, plain
from img2img.studies.study import Findings, Settings

ALREADY_QUICK = ("convolution", "lenet", "unet")
NAMES = [
    about.name if about.name in ALREADY_QUICK else pytest.param(about.name, marks=pytest.mark.slow) for about in STUDIES
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small lose more by threads than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_digits(folder / "digits")
    write_cifar(folder)
    return folder


@cache
def found(name: str, data: Path) -> Findings:
    return load(name).run(Settings(quick=True, data=data, device="cpu"))


@pytest.mark.parametrize("name", NAMES)
def test_a_study_finds_and_draws_what_its_page_shows(name: str, data: Path) -> None:
    study, findings = load(name), found(name, data)
    drawn = study.draw(findings)
    assert set(drawn) == {picture for part in study.PAGE for picture in part.pictures}
    assert all(png(picture, dpi=20).startswith(b"\x89PNG") for picture in drawn.values())
    assert set(findings.sentences) <= {sentence for part in study.PAGE for sentence in part.sentences}
    assert set(findings.tables) == {table for part in study.PAGE for table in part.tables}
    assert findings.sentences
    plain({name: dict(finding.numbers) for name, finding in findings.sentences.items()})
    for table in findings.tables.values():
        assert all(len(row) == len(table.header) for row in table.rows)


def test_every_study_has_its_module() -> None:
    modules = {path.stem for path in (Path(__file__).parents[1] / "img2img" / "studies").glob("*.py")}
    helpers = {
        "__init__",
        "study",
        "page",
        "folder",
        "drawing",
        "pictures",
        "data",
        "fitting",
        "networks",
        "meter",
        "shipped",
    }
    assert modules - helpers == set(BY_NAME)


def test_a_training_repeats_to_the_bit(data: Path) -> None:
    again = load("lenet").run(Settings(quick=True, data=data, device="cpu"))
    first = found("lenet", data)
    assert again.arrays["scores"] == first.arrays["scores"]
    np.testing.assert_array_equal(again.arrays["kernels"], first.arrays["kernels"])
    other = load("lenet").run(Settings(quick=True, data=data, device="cpu", seed=1))
    assert not np.array_equal(other.arrays["kernels"], first.arrays["kernels"])


def test_interrupted_in_a_training_nothing_half_is_left(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = Labelled.sample

    def interrupted(*args: Any, **options: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return sample(*args, **options)

    monkeypatch.setattr(Labelled, "sample", interrupted)
    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        make(BY_NAME["lenet"], Settings(quick=True, data=data, device="cpu"), tmp_path / "out" / "lenet")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_study_that_fails_leaves_no_folder_that_was_made_for_it(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for folder in (tmp_path / "studies" / "lenet", tmp_path / "there" / "new" / "lenet"):
        with pytest.raises(DataError):
            make(BY_NAME["lenet"], Settings(data=tmp_path, device="cpu"), folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_minutes_stop_a_training(data: Path) -> None:
    short = load("lenet").run(Settings(quick=True, data=data, device="cpu", minutes=1e-9))
    assert short.arrays["steps"] == [1]
