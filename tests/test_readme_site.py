"""The pages as a site: built strictly, without network and without PyTorch, and nothing on it comes from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the extra `docs` makes the site")

ROOT = Path(__file__).parents[1]
BUILD = """
import socket, sys
def refused(*args): raise OSError(f"the build asks the network: {args}")
socket.socket.connect = socket.getaddrinfo = refused
from mkdocs.__main__ import cli
cli(["build", "--strict", "--quiet", "--site-dir", sys.argv[1]], standalone_mode=False)
assert "torch" not in sys.modules and "img2img" not in sys.modules, "the build imports what it describes"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run([sys.executable, "-c", BUILD, folder], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    for page in pages:
        assert site.joinpath(page).with_suffix(".html").is_file()
    for page in ("index.html", "weights/TRAINING.html", "CHANGELOG.html", "weights/index.html"):
        assert (site / page).is_file()


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    for page in [*site.rglob("*.html"), *site.rglob("*.css")]:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|source|iframe)[^>]*\ssrc=[\"']([^\"']+)", text)
        loaded += re.findall(r"<link[^>]*\shref=[\"']([^\"']+)", text)
        loaded += re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", text) if page.suffix == ".css" else []
        assert [address for address in loaded if re.match(r"(https?:)?//", address)] == [], page


def test_docstrings_are_on_it(site: Path) -> None:
    functions = site.joinpath("api.html").read_text(encoding="utf-8")
    assert 'id="img2img.denoise"' in functions
    assert "&gt;&gt;&gt;" in functions
    networks = site.joinpath("api_networks.html").read_text(encoding="utf-8")
    assert 'id="img2img.tasks.denoise.model.DenoisingUNet"' in networks
    assert re.search(r"<strong>noisy</strong>: \(B, C, H, W\)", networks)
