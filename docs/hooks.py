"""What mkdocs.yml asks for: pages that lie outside docs/ are pages of the site, too, and links lead to them.

On the site README.md is the first page, docs/ is the root, and weights/README.md stays weights/README.md.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pygments.formatters import HtmlFormatter

ROOT = Path(__file__).parents[1]
OUTSIDE = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "weights/*.md",
    "examples/README.md",
    "examples/decode_i2i.py",
)
LINK = re.compile(r"(\]\()(?!https?:|#)([^)#\s]+)")


def place_of(path: str) -> str:
    """The page's place on the site, from its place in the repository."""
    places = {"README.md": "index.md", "LICENSE": "LICENSE.txt"}
    return places.get(path, path.removeprefix("docs/"))


def file_of(path: str) -> str:
    """Its place in the repository, from that on the site."""
    if path == "index.md":
        return "README.md"
    return path if (ROOT / path).exists() else f"docs/{path}"


def named(nav: object) -> set[str]:
    """The pages that the navigation names."""
    if isinstance(nav, str):
        return {nav}
    inner = nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ()
    return set().union(*map(named, inner))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Pages of docs/ that the navigation does not name yet come last."""
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    assert config.nav is not None
    if missing := sorted(pages - named(config.nav)):
        config.nav.append({"More": missing})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, and what they show."""
    for pattern in OUTSIDE:
        for file in sorted(ROOT.glob(pattern)):
            place = place_of(file.relative_to(ROOT).as_posix())
            files.append(File.generated(config, place, abs_src_path=str(file)))
    colours = HtmlFormatter(style="friendly").get_style_defs(".highlight")
    files.append(File.generated(config, "pygments.css", content=colours))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    here = posixpath.dirname(page.file.src_uri)
    folder = posixpath.dirname(file_of(page.file.src_uri))

    def led(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found[2]))
        return found[1] + posixpath.relpath(place_of(target), here or ".")

    return LINK.sub(led, markdown)
