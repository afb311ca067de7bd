"""The page of a study: one HTML file with its pictures inside, for phones and screens, light and dark."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping

from . import About
from .study import Finding, Findings, Part, Table

CSS = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fdfdfb; --soft: #5b6168; --line: #d9dbd6; --mark: #2f6db3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e3; --paper: #17191c; --soft: #a2a8ae; --line: #3a3e43; --mark: #7fb2ea; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
a { color: var(--mark); }
.lead, figcaption, footer { color: var(--soft); }
figure { margin: 1rem 0; }
figure img { display: block; width: 100%; height: auto; background: #fff; border-radius: 6px; padding: 4px; }
figcaption { font-size: .9rem; margin-top: .4rem; }
.found { border-left: 3px solid var(--mark); margin: .8rem 0; padding: .1rem 0 .1rem .8rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; }
footer { border-top: 1px solid var(--line); font-size: .85rem; margin-top: 2.5rem; padding-top: .6rem; }
"""


def page(about: About, parts: Iterable[Part], findings: Findings, pictures: Mapping[str, bytes], how: str) -> str:
    """The HTML of a study.

    Args:
        about: the study.
        parts: its sections.
        findings: what it found.
        pictures: PNG bytes by name.
        how: the last line: by which command it was made.
    """
    body = [f"<h1>{text(about.title)}</h1>", f'<p class="lead">{text(about.about[0].upper() + about.about[1:])}.</p>']
    for part in parts:
        body.append(f"<h2>{text(part.heading)}</h2>")
        body += [f"<p>{text(' '.join(paragraph.split()))}</p>" for paragraph in part.text.strip().split("\n\n")]
        body += [figure(pictures[name], caption) for name, caption in part.pictures.items() if name in pictures]
        body += [found(findings.sentences[name]) for name in part.sentences if name in findings.sentences]
        body += [table(findings.tables[name]) for name in part.tables if name in findings.tables]
    body.append(f"<footer>{text(how)}</footer>")
    return document(about.title, body)


def contents(found: Iterable[tuple[About, str]], left_out: Iterable[tuple[About, str]]) -> str:
    """The page that leads to several studies: each with its address, or with why it is not there."""
    rows = [
        f'<h2><a href="{text(address)}">{text(about.title)}</a></h2><p>{text(about.about)}</p>'
        for about, address in found
    ]
    rows += [f"<h2>{text(about.title)}</h2><p>{text(about.about)}. {text(why)}</p>" for about, why in left_out]
    return document("Studies of convolutional networks", ["<h1>Studies of convolutional networks</h1>", *rows])


def document(title: str, body: Iterable[str]) -> str:
    """A whole HTML file."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def text(words: str) -> str:
    """Words as HTML writes them."""
    return html.escape(words)


def figure(picture: bytes, caption: str) -> str:
    """A picture, inside the page, with its caption, which is also what a screen reader reads."""
    data = base64.b64encode(picture).decode("ascii")
    return (
        f'<figure><img alt="{text(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def found(finding: Finding) -> str:
    """What was measured, and whether a claim holds."""
    verdict = "" if finding.holds is None else ("Holds: " if finding.holds else "Does not hold here: ")
    return f'<p class="found">{text(verdict + finding.sentence)}</p>'


def table(table: Table) -> str:
    """A table; columns of numbers are flush right."""
    numeric = [all(isinstance(row[i], int | float) for row in table.rows) for i in range(len(table.header))]

    def row(kind: str, cells: Iterable[str | float]) -> str:
        marks = (' class="number"' if right else "" for right in numeric)
        inside = (f"<{kind}{mark}>{text(shown(cell))}</{kind}>" for cell, mark in zip(cells, marks, strict=True))
        return f"<tr>{''.join(inside)}</tr>"

    rows = "".join(row("td", cells) for cells in table.rows)
    return f'<div class="table"><table>{row("th", table.header)}{rows}</table></div>'


def shown(cell: str | float) -> str:
    """A cell's text: whole numbers with thin spaces by thousands, others with four figures.

    Example:
        >>> shown(706), shown(0.123456), shown(98.5)
        ('706', '0.1235', '98.5')
    """
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or (float(cell).is_integer() and abs(cell) >= 1000):
        return f"{int(cell):,}".replace(",", "\u202f")
    return f"{cell:.4g}" if abs(cell) < 1000 else f"{cell:,.0f}".replace(",", "\u202f")
