"""How docstrings are shown on the site: `Example:` as code, `Shape:` as a list, `References:` as text (mkdocs.yml)."""

import re
import textwrap
from typing import Any

import griffe

SECTION = re.compile(r"^(?P<name>Shape|Example):\n(?P<body>(?:(?: +.*)?(?:\n|\Z))+)", re.MULTILINE)
REFERENCES = re.compile(r"^References: ", re.MULTILINE)
ITEM = re.compile(r"^([\w, ]+):", re.MULTILINE)


def shown(section: re.Match[str]) -> str:
    """The section in a form that the site knows."""
    if section["name"] == "Example":
        return f"Examples:\n{section['body']}"
    body = textwrap.dedent(section["body"]).rstrip()
    if not ITEM.match(body):
        return section[0]
    items = ITEM.sub(r"- **\1**:", body)
    return "Shape:\n" + textwrap.indent(re.sub(r"\n    (?=\S)", r"\n  ", items), "    ") + "\n\n"


class Sections(griffe.Extension):
    """Rewrites docstrings while they are collected."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of each module, class and function."""
        if obj.docstring is not None:
            obj.docstring.value = REFERENCES.sub("**References:** ", SECTION.sub(shown, obj.docstring.value))
