"""`img2img study`: a folder whole or not at all, one line for what is wrong, exit codes."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from img2img.studies import STUDIES

(command,) = entry_points(group="console_scripts", name="img2img")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*args: str) -> Result:
    return CliRunner().invoke(command.load(), ["study", *args])


def one_line(result: Result, code: int) -> str:
    assert (result.exit_code, result.stdout) == (code, "")
    assert re.fullmatch(r"img2img: error: .*\n", result.stderr)
    return result.stderr


class Sources(HTMLParser):
    """What a page loads, and whether its elements are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_study_is_a_page_with_its_pictures_inside() -> None:
    result = run("convolution", "--quick", "--json", "-o", "out/c")
    assert (result.exit_code, result.stderr) == (0, "")
    line = json.loads(result.stdout)
    assert line["output"] == str(Path("out/c/index.html"))
    facts = json.loads(Path("out/c/findings.json").read_text(encoding="utf-8"))
    assert facts["findings"] == line["findings"]
    assert facts["settings"]["quick"] is True
    text = Path("out/c/index.html").read_text(encoding="utf-8")
    sources = Sources()
    sources.feed(text)
    pictures = [path.stem for path in Path("out/c").glob("*.png")]
    assert sources.open == []
    assert len(sources.loaded) == len(pictures) > 3
    assert all(source.startswith("data:image/png;base64,") for source in sources.loaded)
    assert "<script" not in text
    assert [path.name for path in Path("out").iterdir()] == ["c"]  # nothing half is left


def test_the_same_seed_gives_the_same_numbers() -> None:
    for folder in ("a", "b"):
        assert run("convolution", "--quick", "-o", folder).exit_code == 0
    first, second = (json.loads(Path(f, "findings.json").read_text(encoding="utf-8")) for f in "ab")
    assert first["findings"] == second["findings"]
    assert Path("a/kernels.png").read_bytes() == Path("b/kernels.png").read_bytes()


def test_list_names_every_study() -> None:
    assert [line.split()[0] for line in run("list").stdout.splitlines()] == [about.name for about in STUDIES]
    assert [json.loads(line)["study"] for line in run("list", "--json").stdout.splitlines()] == [
        s.name for s in STUDIES
    ]


def test_a_folder_that_is_there_stays_unless_overwritten_and_is_a_studys() -> None:
    Path("studies/convolution").mkdir(parents=True)
    Path("studies/convolution/mine.txt").write_text("mine")
    assert "--overwrite" in one_line(run("convolution", "--quick"), 1)
    assert "no study's folder" in one_line(run("convolution", "--quick", "--overwrite"), 1)
    assert Path("studies/convolution/mine.txt").read_text() == "mine"
    assert run("convolution", "--quick", "-o", "s").exit_code == 0
    Path("s/old.txt").write_text("old")
    assert run("convolution", "--quick", "-o", "s", "--overwrite").exit_code == 0
    assert not Path("s/old.txt").exists()
    assert sorted(path.name for path in Path().iterdir()) == ["s", "studies"]


def test_wrong_use_is_one_line_and_code_2() -> None:
    Image.fromarray(np.zeros((5, 3, 3), np.uint8)).save("tiny.png")
    assert "3x5" in one_line(run("convolution", "tiny.png", "--quick"), 2)
    assert "nowhere" in one_line(run("convolution", "--data", "nowhere"), 2)
    assert "no-such" in one_line(run("no-such"), 2)
    assert "gone.png" in one_line(run("convolution", "gone.png"), 2)
    assert list(Path().iterdir()) == [Path("tiny.png")]


def test_a_picture_may_be_grey_16_bit_or_broken() -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 65536, (40, 50)).astype(np.uint16)).save("grey16.png")
    assert run("convolution", "grey16.png", "--quick").exit_code == 0
    Path("broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert "broken.png" in one_line(run("convolution", "broken.png", "--quick", "-o", "b"), 1)
    assert not Path("b").exists()


def test_no_room_to_write_is_one_line() -> None:
    Path("file").write_text("in the way")
    assert "file" in one_line(run("convolution", "--quick", "-o", "file/inside"), 1)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process")
def test_interrupted_nothing_half_is_left(tmp_path: Path) -> None:
    code = (
        "import img2img.studies.convolution as c, signal\n"
        "from importlib.metadata import entry_points\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
        "c.run = lambda settings: signal.raise_signal(signal.SIGINT)\n"
        "(command,) = entry_points(group='console_scripts', name='img2img')\n"
        "command.load()(['study', 'convolution', '-o', 'out/c'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "img2img: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_without_data_it_is_said_in_one_line_how_to_get_it() -> None:
    assert "--data names the folder that it is in; with --download" in one_line(run("lenet"), 2)
    Path("empty").mkdir()
    assert "there is no MNIST in empty" in one_line(run("lenet", "--data", "empty"), 2)
    assert list(Path().iterdir()) == [Path("empty")]


def test_all_makes_what_can_be_made_and_says_what_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    some = tuple(about for about in STUDIES if about.name in ("convolution", "lenet"))
    monkeypatch.setattr("img2img.cli.study.STUDIES", some)
    result = run("all", "--quick", "-o", "out")
    assert result.exit_code == 1
    assert re.fullmatch(r"img2img: error: study lenet: it needs MNIST.*\n", result.stderr)
    assert result.stdout.splitlines() == [str(Path("out", name)) for name in ("convolution/index.html", "index.html")]
    page = Path("out/index.html").read_text(encoding="utf-8")
    assert 'href="convolution/index.html"' in page
    assert "it needs MNIST" in page
