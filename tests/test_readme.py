"""What the pages say is so: help texts, links, file names, options, and the Python example."""

import json
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
MADE_BY_USERS = {"examples/denoised.png"}
update = runpy.run_path(str(ROOT / "docs" / "update_readme.py"))
results = runpy.run_path(str(ROOT / "docs" / "make_results.py"))
PAGES = [str(page.relative_to(ROOT)) for page in update["pages"]()]


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 150


def test_every_command_has_its_help_text() -> None:
    text = read("docs/commands.md")
    shown = re.findall(r"^### (img2img.*)$", text, re.MULTILINE)
    assert shown == list(update["commands"]())
    assert {"img2img denoise", "img2img weights list", "img2img bench codec"} <= set(shown)
    assert "Usage: img2img denoise [OPTIONS] INPUT..." in text


@pytest.mark.parametrize("page", PAGES)
def test_pages_show_what_commands_print_and_what_was_measured(page: str) -> None:
    text = read(page)
    assert text == update["renewed"](text), "run docs/update_readme.py"
    assert text == results["renewed"](text), "run docs/update_readme.py"


def test_every_table_is_shown() -> None:
    pages = "".join(map(read, ("docs/results.md", "docs/scale.md", "docs/engines.md")))
    shown = [found["name"] for found in results["TABLE"].finditer(pages)]
    assert sorted(shown) == sorted(results["TABLES"])


def test_figures_follow_the_records() -> None:
    stale = "<!--figure: denoise-fast cbsd68-->33.00 / 31.00 / 27.00<!--end--> dB"
    recorded = json.loads(read("benchmarks/results/denoise_fast_cbsd68.json"))["summary"]
    found = [row["psnr"] for row in recorded if (row["case"], row["method"]) == ("float", "denoise-fast")]
    wanted = " / ".join(f"{value:.2f}" for value in found)
    assert results["renewed"](stale) == f"<!--figure: denoise-fast cbsd68-->{wanted}<!--end--> dB"
    with pytest.raises(KeyError):
        results["renewed"](stale.replace("cbsd68", "cbsd86"))


@pytest.mark.parametrize("page", PAGES)
def test_no_line_begins_with_a_figure(page: str) -> None:
    # Markdown takes a comment at the beginning of a line for a block of HTML, which ends the paragraph.
    assert re.findall(r"^\s*<!--(?:figure|end).*", read(page), re.MULTILINE) == []


# The notebook is a history, and the changelog is one, too: what they say was so when it was written.
@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("CHANGELOG.md", "docs/training_notebook.md")])
def test_no_score_is_repeated_by_hand(page: str) -> None:
    text = results["FIGURE"].sub("", results["TABLE"].sub("", read(page)))
    scores = {figure for figure in results["FIGURES"].values() if " / " in figure}
    scores |= {results["FIGURES"][name] for name in ("denoise-photo cc15", "codec-fast bd-rate", "codec-best bd-rate")}
    assert sorted(score for score in scores if score in text) == []


@pytest.mark.parametrize("columns", ["40", "200"])
def test_help_texts_do_not_depend_on_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert update["help_of"]("img2img denoise") in read("docs/commands.md")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", read(page))
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_named_exist(page: str) -> None:
    # Paths in code quotes that begin with one of our folders; those with NAME in them are patterns.
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"runs"}  # where trainings go
    named = set(re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", read(page))) - MADE_BY_USERS
    ours = {name for name in named if name.split("/")[0] in folders and "NAME" not in name}
    assert sorted(name for name in ours if not (ROOT / name).exists()) == []


def commands(text: str) -> Iterator[list[str]]:
    """Every `img2img ...` in shell blocks, and in code quotes where it is a whole command."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from (shlex.split(line) for line in block.splitlines() if re.match(r"img2img |python -m img2img ", line))
    for quoted in re.findall(r"`(img2img [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if "|" not in quoted:  # `img2img weights list|verify` names several
            yield shlex.split(quoted)


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_exist(page: str) -> None:
    (entry,) = entry_points(group="console_scripts", name="img2img")
    for words in commands(read(page)):
        context = click.Context(entry.load())
        rest = words[3:] if words[0] == "python" else words[1:]
        while isinstance(context.command, click.Group) and rest and not rest[0].startswith("-"):
            inner = context.command.get_command(context, rest.pop(0))
            assert inner is not None, words
            context = click.Context(inner, parent=context)
        known = {name for option in context.command.get_params(context) for name in option.opts + option.secondary_opts}
        known |= {"--help"}
        assert [word for word in rest if word.startswith("-") and len(word) > 1 and word not in known] == [], words


def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = read("docs/python.md") + read("docs/tutorials/researcher.md")
    examples = re.findall(r"```python\n(.*?)```", pages, re.DOTALL)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    for example in examples:
        exec(compile(example, "docs/python.md", "exec"), {})
    with Image.open("cleaned.png") as cleaned, Image.open("examples/noisy.png") as noisy:
        assert cleaned.size == noisy.size
        assert cleaned.tobytes() != noisy.tobytes()
    clean = np.asarray(Image.open("examples/clean.png")).astype(float)
    assert 8 * Path("small.i2i").stat().st_size <= 0.5 * clean.shape[0] * clean.shape[1]
    for name in ("back.png", "clean.i2i"):
        assert np.square(np.asarray(Image.open(name)) - clean).mean() < 100


def test_examples_are_what_their_script_makes() -> None:
    made = runpy.run_path(str(ROOT / "examples" / "make_examples.py"))["pictures"]()
    assert sorted(made) == ["clean.png", "labels.png", "noisy.png"]
    for name, samples in made.items():
        with Image.open(ROOT / "examples" / name) as picture:
            assert picture.tobytes() == samples.tobytes()


def test_the_page_on_formats_is_made_from_the_table() -> None:
    renewed = runpy.run_path(str(ROOT / "docs" / "update_formats.py"))["page"]()
    assert read("docs/formats.md") == renewed, "run docs/update_formats.py"
