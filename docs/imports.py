"""Who imports whom: `python docs/imports.py` prints the rooms of img2img from top to bottom, and what is wrong there.

Read from the source, so imports inside functions count, and so do modules that are named in strings to be imported when
they are needed; those for type checkers only do not. `--mermaid` prints the same as a diagram, `--page` renews
docs/imports.md.
tests/test_imports.py checks that there are no circles, and no arrow from a room to one above it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "imports.md"
MAPPED = {"cli": "img2img.cli", "benchmarks": "img2img.benchmarks"}
# From the bottom to the top; rooms on one floor do not know each other, but for the exceptions below.
FLOORS = (
    ("choices", "errors", "keeping", "progress", "whole_file"),
    ("checkpoints", "runtime", "images", "core", "stores", "extras"),
    ("engines", "metrics", "kinds", "operations", "manifest"),
    ("data",),
    ("descriptors",),
    ("training",),
    ("tasks", "tasks.compress", "tasks.denoise", "tasks.texture", "tasks.translate"),
    ("register", "front"),
    ("export", "pillow", "ship", "studies", "processing", "serve"),
    ("cli", "benchmarks"),
    ("__main__",),
)
BESIDE = {("cli", "benchmarks")}  # `img2img bench` runs them

NAMED = re.compile(r"img2img(\.\w+)+\.?(:\w+)?")  # in a string: a module, the beginning of one, or a name in one

Graph = dict[str, set[str]]


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module of the package by its name, those of the mapped folders too."""
    found = {}
    for folder in ("img2img", *MAPPED):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join((MAPPED.get(parts[0], parts[0]), *parts[1:])).removesuffix(".__init__")
            found[name] = path
    return found


def graph(root: Path = ROOT) -> Graph:
    """For each module the modules that it imports; a package's own `__init__` by the package's name."""
    found = modules(root)
    return {
        name: {target for wanted in _wanted(name, path) if (target := _known(wanted, found)) and target != name}
        for name, path in found.items()
    }


def _wanted(name: str, path: Path) -> Iterator[str]:
    """The dotted names that a module imports, or writes in strings; of `from a import b` both a.b and a are tried."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")
            base = ".".join(above[: len(above) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and NAMED.fullmatch(str(node.value)):
            yield node.value.partition(":")[0].rstrip(".")


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from _running(child)


def _known(name: str, found: dict[str, Path]) -> str | None:
    """The module of a dotted name, or the longest part of it that is one (the rest is a name within)."""
    while name and name not in found:
        name = name.rpartition(".")[0]
    return None if name in ("", "img2img") else name


def circles(edges: Graph) -> list[list[str]]:
    """Groups of modules that import each other, in a circle of any length (Tarjan's strongly connected components)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for target in sorted(edges[node]):
            if target not in number:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], number[target])
        if low[node] == number[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(edges):
        if node not in number:
            visit(node)
    return found


def room(module: str) -> str:
    """The room of a module: the folder of a task, else the first name below img2img."""
    parts = module.split(".")[1:]
    return ".".join(parts[: 2 if parts[:1] == ["tasks"] else 1])


def rooms(edges: Graph) -> Graph:
    """The graph of rooms."""
    found: Graph = {room(module): set() for module in edges}
    for module, targets in edges.items():
        found[room(module)] |= {room(target) for target in targets} - {room(module)}
    return {name: targets for name, targets in found.items() if name}


def arrows_up(edges: Graph) -> list[str]:
    """Imports of a room that lies above, or on the same floor, as `a.b imports c.d`."""
    floor = {name: level for level, names in enumerate(FLOORS) for name in names}
    wrong = []
    for module, targets in sorted(edges.items()):
        for target in sorted(targets):
            ours, theirs = room(module), room(target)
            if ours == theirs or "" in (ours, theirs) or (ours, theirs) in BESIDE:
                continue
            if ours not in floor or theirs not in floor:
                wrong.append(f"{module} imports {target}, and FLOORS lacks {ours if ours not in floor else theirs}")
            elif floor[theirs] >= floor[ours]:
                wrong.append(f"{module} imports {target}")
    return wrong


def picture(edges: Graph) -> str:
    """Rooms from top to bottom, each with what it imports, then circles and arrows up."""
    below = rooms(edges)
    lines = []
    for names in reversed(FLOORS):
        lines += [f"{name:16} -> {', '.join(sorted(below[name])) or '-'}" for name in names if name in below]
    strangers = below.keys() - {name for names in FLOORS for name in names}
    lines += [f"{name:16} -> {', '.join(sorted(below[name])) or '-'}" for name in sorted(strangers)]
    lines += ["", *(f"circle: {', '.join(group)}" for group in circles(edges))]
    lines += [f"upwards: {arrow}" for arrow in arrows_up(edges)]
    return "\n".join(lines).rstrip()


def mermaid(edges: Graph) -> str:
    """The rooms as a Mermaid diagram."""
    below = rooms(edges)
    lines = ["flowchart TD"]
    lines += [f"    {a} --> {b}" for a in sorted(below) for b in sorted(below[a])]
    return "\n".join(lines)


def renewed(page: str, edges: Graph) -> str:
    """docs/imports.md with the picture as it is now."""
    return re.sub(
        r"(## Now\n\n```text\n).*?(\n```\n)", lambda old: old[1] + picture(edges) + old[2], page, flags=re.DOTALL
    )


if __name__ == "__main__":
    found = graph()
    if "--page" in sys.argv:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    else:
        print(mermaid(found) if "--mermaid" in sys.argv else picture(found))
