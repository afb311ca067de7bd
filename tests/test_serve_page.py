"""The page, in a real browser on a real service: from drop to download, keyboard only, errors, cancelling."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from serving import Server, noisy, pixels, png, serving

pytest.importorskip("starlette")
playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: the page is not tried")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no Chromium: the page is not tried", allow_module_level=True)

PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("spool")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as tools:
        options = ["--no-sandbox"] if hasattr(os, "getuid") and os.getuid() == 0 else []
        started = tools.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    context = browser.new_context(accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    opened.on("dialog", lambda dialog: faults.append(f"a dialog: {dialog.message}"))
    opened.goto(server.url)
    opened.wait_for_selector("#tab-denoise")
    yield opened
    context.close()
    assert faults == []


def file(name: str, data: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def give(page: Any, *files: dict[str, Any]) -> None:
    page.set_input_files("#files", [*files])


def run(page: Any, state: str = "done", count: int = 1) -> None:
    page.click("#run")
    page.wait_for_function(
        "([state, count]) => document.querySelectorAll(`#list li[data-state=${state}]`).length === count",
        arg=[state, count],
    )


def downloaded(page: Any, selector: str) -> tuple[str, bytes]:
    with page.expect_download() as coming:
        page.click(selector)
    return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()


def test_the_options_are_those_of_the_document(page: Any, server: Server) -> None:
    paths = server.get("/openapi.json").json["paths"]
    for task in ("denoise", "compress", "decompress", "translate", "texture"):
        page.click(f"#tab-{task}")
        names = [option["name"] for option in paths[f"/v1/{task}"]["post"]["parameters"] if option["name"] != "wait"]
        assert page.eval_on_selector_all("#form [name]", "all => all.map(one => one.name)") == names
        assert page.eval_on_selector_all("#form [name]", "all => all.every(one => one.labels.length === 1)")


def test_from_choosing_to_download(page: Any, server: Server) -> None:
    give(page, file("my photo.png", noisy()))
    page.fill("#option-sigma", "20")
    assert page.inner_text("#command") == "img2img denoise 'my photo.png' --sigma 20"
    run(page)
    assert "20" in page.inner_text("#list .what")
    name, data = downloaded(page, "#list >> text=Download")
    assert name == "my photo_denoise.png"
    assert data == server.post("/v1/denoise?sigma=20", noisy()).body
    page.wait_for_selector("#viewer:not([hidden])")
    for view in ("difference", "tile", "slide"):
        page.click(f"[data-view={view}]")
        assert page.get_attribute(f"[data-view={view}]", "aria-pressed") == "true"


def test_a_drop_is_as_good(page: Any) -> None:
    data = list(noisy())
    page.evaluate(
        """data => {
            const dropped = new DataTransfer();
            dropped.items.add(new File([new Uint8Array(data)], "dropped.png", {type: "image/png"}));
            document.dispatchEvent(new DragEvent("drop", {dataTransfer: dropped, bubbles: true, cancelable: true}));
        }""",
        data,
    )
    assert "dropped.png" in page.inner_text("#chosen")
    assert page.is_enabled("#run")


def test_compress_says_the_bits_and_decompress_takes_the_file(page: Any) -> None:
    page.click("#tab-compress")
    give(page, file("p.png", noisy(40, 48)))
    run(page)
    name, data = downloaded(page, "#list >> text=Download")
    assert name == "p.i2i"
    assert f"{len(data) * 8 / (40 * 48):.3f} bits per pixel" in page.inner_text("#list .what")
    page.click("#clear")
    give(page, {"name": "p.i2i", "mimeType": "", "buffer": data})
    assert page.get_attribute("#tab-decompress", "aria-selected") == "true"
    run(page)
    assert pixels(downloaded(page, "#list >> text=Download")[1]).shape == (40, 48, 3)


def test_grey_gets_colours(page: Any) -> None:
    page.click("#tab-translate")
    page.select_option("#option-model", "colorize")
    give(page, file("grey.png", png(np.full((16, 24), 100, np.uint8))))
    run(page)
    assert pixels(downloaded(page, "#list >> text=Download")[1]).shape == (16, 24, 3)


def test_a_texture_by_patches(page: Any) -> None:
    page.click("#tab-texture")
    page.fill("#option-size", "48x32")
    page.select_option("#option-method", "patches")
    give(page, file("sample.png", noisy()))
    run(page)
    assert pixels(downloaded(page, "#list >> text=Download")[1]).shape == (32, 48, 3)
    assert page.is_disabled("[data-view=difference]")  # there is nothing of the same size to compare with


def test_errors_are_said_as_the_service_says_them(page: Any, server: Server) -> None:
    give(page, file("bad.png", b"no picture"))
    run(page, "failed")
    assert page.inner_text("#list .what") == server.post("/v1/denoise", b"no picture").error
    page.click("#clear")
    page.fill("#option-sigma", "900")
    run(page, "failed")
    assert "0 to 255" in page.inner_text("#list .what")


def test_names_and_exif_are_text_never_markup(page: Any) -> None:
    evil = "<img src=x onerror=alert(1)>.png"
    about = PngInfo()
    about.add_text("Description", evil)
    data = png(pixels(noisy()), pnginfo=about)
    give(page, file(evil, data))
    run(page)
    assert page.inner_text("#list .name") == evil
    assert page.query_selector("#list img, figcaption img") is None


def test_several_files_come_as_one_zip(page: Any) -> None:
    give(page, file("a.png", noisy(seed=1)), file("a.png", noisy(seed=2)), file("ä.png", noisy(seed=3)))
    run(page, count=3)
    name, data = downloaded(page, "#all")
    assert name == "img2img.zip"
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a_denoise.png", "a_denoise_2.png", "ä_denoise.png"]
        assert Image.open(archive.open("ä_denoise.png")).size == (28, 20)


def test_the_keyboard_is_enough(page: Any) -> None:
    give(page, file("k.png", noisy()))  # the system's own dialog is the browser's matter
    page.focus("#tab-denoise")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-compress"
    page.keyboard.press("ArrowLeft")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
        if page.evaluate("document.activeElement.id") == "run":
            break
    assert {"files", "option-sigma", "run"} <= reached
    page.keyboard.press("Enter")
    page.wait_for_selector("#list li[data-state=done]")
    page.wait_for_selector("#viewer:not([hidden])")
    page.focus("#stage")
    before = page.evaluate("[view.zoom, view.split, view.x]")
    for key in ("+", "[", "ArrowLeft"):
        page.keyboard.press(key)
    after = page.evaluate("[view.zoom, view.split, view.x]")
    assert after[0] > before[0]
    assert after[1] < before[1]
    assert after[2] != before[2]


def test_two_tabs_do_not_mix_their_pictures(page: Any, server: Server) -> None:
    other = page.context.new_page()
    other.goto(server.url)
    other.wait_for_selector("#tab-denoise")
    give(page, file("one.png", noisy(16, 16, seed=1)))
    give(other, file("two.png", noisy(16, 20, seed=2)))
    page.click("#run")
    run(other)
    page.wait_for_selector("#list li[data-state=done]")
    assert pixels(downloaded(page, "#list >> text=Download")[1]).shape[:2] == (16, 16)
    assert pixels(downloaded(other, "#list >> text=Download")[1]).shape[:2] == (16, 20)


def test_cancelling_stops_the_computation(page: Any, server: Server) -> None:
    page.click("#tab-texture")
    page.select_option("#option-method", "patches")
    page.fill("#option-size", "6000x6000")
    give(page, file("long.png", noisy(200, 200)))
    page.click("#run")
    page.wait_for_selector("#list li[data-state=running]")
    page.click("#stop")
    page.wait_for_selector("#list li[data-state=cancelled]")
    page.wait_for_function("fetch('/metrics').then(a => a.text()).then(t => t.includes('img2img_jobs_running 0'))")
    page.wait_for_function("fetch('/metrics').then(a => a.text()).then(t => t.includes('img2img_folder_bytes 0'))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(page: Any, scheme: str) -> None:
    """WCAG 2.2 AA: 4.5 to 1 for text, on a phone without scrolling sideways."""
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    pairs = page.evaluate(
        """() => {
            const style = getComputedStyle(document.documentElement);
            const get = name => style.getPropertyValue(`--${name}`).trim();
            return [["text", "back"], ["text", "card"], ["quiet", "card"], ["quiet", "back"], ["bad", "card"],
                    ["on-main", "main"]].map(([a, b]) => [get(a), get(b)]);
        }"""
    )
    assert all(contrast(a, b) >= 4.5 for a, b in pairs)


def contrast(a: str, b: str) -> float:
    """Of two colours #rrggbb, by WCAG 2.2."""

    def luminance(colour: str) -> float:
        levels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    dark, light = sorted((luminance(a), luminance(b)))
    return (light + 0.05) / (dark + 0.05)
