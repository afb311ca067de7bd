"""Which systems the light installation resolves on, from wheels alone: renews the table of docs/installation.md.

    pip install uv && python docs/check_wheels.py

Asks the package index (a job of its own, not part of `make test`) and takes some minutes. For each system and Python,
uv resolves the requirements of setup.cfg as it would there; where it cannot, each requirement is tried by itself.
"""

import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "installation.md"
BLOCK = re.compile(r"(<!-- wheels -->\n).*?(<!-- end of wheels -->)", re.DOTALL)
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
SYSTEMS = {
    "Linux x86-64, glibc 2.17": "x86_64-manylinux2014",
    "Linux x86-64, glibc 2.28": "x86_64-manylinux_2_28",
    "Linux ARM64, glibc 2.17": "aarch64-manylinux2014",
    "Linux ARM64, glibc 2.28": "aarch64-manylinux_2_28",
    "macOS 14 on Intel": "x86_64-apple-darwin",
    "macOS 14 on Apple silicon": "aarch64-apple-darwin",
    "Windows x86-64": "x86_64-pc-windows-msvc",
    "Windows ARM64": "aarch64-pc-windows-msvc",
}


def requirements(extra: str = "") -> list[str]:
    """The core's requirements, and those of an extra."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    texts = [parser["options"]["install_requires"]]
    if extra:
        texts.append(parser["options.extras_require"][extra])
    return [line for text in texts for line in text.splitlines() if line and not line.startswith("#")]


def resolves(needed: list[str], system: str, python: str) -> bool:
    """Whether there are wheels of everything for a system (uv's name of it) and a version of Python."""
    options = ["--python-platform", system, "--python-version", python, "--only-binary", ":all:", "--quiet"]
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", *options]
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    done = subprocess.run(
        command, input="\n".join(needed), capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode and "No solution found" not in done.stderr:
        raise SystemExit(done.stderr)
    return not done.returncode


def entry(needed: list[str], system: str, python: str) -> str:
    """What the table says: yes, or what has no wheel there."""
    if resolves(needed, system, python):
        return "yes"
    lacking = [re.split(r"[<>=;]", each)[0] for each in needed if not resolves([each], system, python)]
    return "no " + ", ".join(lacking or ["set that fits together"])


def table(needed: list[str]) -> Iterator[str]:
    """Lines of Markdown, a row for each system."""
    with ThreadPoolExecutor(2) as pool:
        rows = {name: [pool.submit(entry, needed, uvs, python) for python in PYTHONS] for name, uvs in SYSTEMS.items()}
        yield f"| | {' | '.join(PYTHONS)} |"
        yield "| --- |" + " --- |" * len(PYTHONS)
        for name, entries in rows.items():
            yield f"| {name} | {' | '.join(each.result() for each in entries)} |"


if __name__ == "__main__":
    lines = "\n".join(table(requirements(*sys.argv[1:2])))
    if sys.argv[1:]:
        print(lines)
    else:
        text = PAGE.read_text(encoding="utf-8")
        block = f"Asked on {date.today():%d %B %Y}:\n\n{lines}\n"
        PAGE.write_text(BLOCK.sub(lambda found: found[1] + block + found[2], text), encoding="utf-8")
