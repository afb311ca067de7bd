"""The rooms of the package know only those below them; docs/imports.py reads the source."""

import runpy
from pathlib import Path

import pytest

imports = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "imports.py"))


def package(root: Path, files: dict[str, str]) -> Path:
    """A package called img2img of such modules."""
    for name, text in files.items():
        path = root / "img2img" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert imports["circles"](imports["graph"]()) == []


def test_no_room_imports_one_above_it() -> None:
    assert imports["arrows_up"](imports["graph"]()) == []


def test_the_page_can_be_renewed() -> None:
    page = (Path(__file__).parents[1] / "docs" / "imports.md").read_text(encoding="utf-8")
    edges = imports["graph"]()
    assert imports["picture"](edges) in imports["renewed"](page, edges)
    assert "upwards: img2img.training.run imports img2img.tasks" in imports["renewed"](page, edges)  # before


@pytest.mark.parametrize(
    "text",
    [
        "from ..tasks.denoise.model import f",
        "from img2img.tasks.denoise import model",
        "def later():\n    from ..tasks.denoise import model",
        "import importlib\nimportlib.import_module('img2img.tasks.denoise.model')",
        "import importlib\nimportlib.import_module(f'img2img.tasks.denoise.{f}')",
        "PLACE = 'img2img.tasks.denoise.model:f'",
    ],
)
def test_an_arrow_up_is_found_however_it_is_written(text: str, tmp_path: Path) -> None:
    root = package(tmp_path, {"core/blocks": text, "tasks/denoise/model": "f = 1", "tasks/denoise/__init__": ""})
    (arrow,) = imports["arrows_up"](imports["graph"](root))
    assert arrow.startswith("img2img.core.blocks imports img2img.tasks.denoise")


def test_a_task_does_not_know_another_and_a_new_room_has_to_be_placed(tmp_path: Path) -> None:
    files = {"tasks/denoise/a": "", "core": "", "attic": "import img2img.core"}
    root = package(tmp_path, files | {"tasks/texture/b": "import img2img.tasks.denoise.a"})
    assert imports["arrows_up"](imports["graph"](root)) == [
        "img2img.attic imports img2img.core, and FLOORS lacks attic",
        "img2img.tasks.texture.b imports img2img.tasks.denoise.a",
    ]


def test_circles_are_found_but_not_those_of_a_type_checker(tmp_path: Path) -> None:
    checked = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import d"
    circle = {"core/a": "from . import b", "core/b": "from .c import x", "core/c": "import img2img.core.a"}
    root = package(tmp_path, circle | {"core/d": "from . import e", "core/e": checked})
    assert imports["circles"](imports["graph"](root)) == [["img2img.core.a", "img2img.core.b", "img2img.core.c"]]
