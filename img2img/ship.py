"""Put trained weights into the package: `python -m img2img.ship runs/denoise-fast/best.safetensors`.

Copies the file into weights/ under the name it says of itself, makes its graphs beside it, and renews their sha256 in
weights/index.toml; the rest of the entry (description, data, score) is written by hand, for it is judged by hand.
`--graphs NAME...` makes the graphs of shipped weights anew, of all without a name.
"""

import re
import shutil
import sys
from pathlib import Path

from .checkpoints import digest, graph_file, index, load_checkpoint, names, read_header, weights_file
from .engines.graphs import make_graphs
from .errors import Img2ImgError
from .register import networks_of


def ship(file: Path) -> Path:
    """Copy a weight file into the package, make its graphs and renew the sha256 of both in the index.

    Returns:
        where it lies now.

    Raises:
        WeightsError: no weight file of ours, or the index has no entry of its name.
        ExportError: a graph computes something else than the network.
    """
    name = read_header(file)["name"]
    target = weights_file(name)
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(file, target)
    renew(name, "sha256", f'"{digest(target)}"')
    ship_graphs(name)
    return target


def ship_graphs(name: str) -> None:
    """Make the graphs of shipped weights beside them, and renew their sha256 in the index."""
    target = weights_file(name)
    if "graphs" in index()[name]:
        renew(name, "graphs", "{}")  # the old ones' sums, which the new ones do not have
    made = make_graphs(name, networks_of(load_checkpoint(name)))
    if made:
        digests = (f'{graph} = "{digest(graph_file(target, graph))}"' for graph in made)
        renew(name, "graphs", f"{{ {', '.join(digests)} }}")
    for graph, agreement in made.items():
        worst = f"{agreement.difference:.2g} grey levels"
        print(f"{name}, {graph}: {agreement.pictures} pictures differ by at most {worst}")


def renew(name: str, key: str, value: str) -> None:
    """Replace a value of an entry of the index, or put it behind sha256 if the entry has none."""
    path = weights_file(name).parents[1] / "index.toml"
    text = path.read_text(encoding="utf-8")
    entry = re.search(rf"(?ms)^\[{re.escape(name)}\]$.*?(?=^\[|\Z)", text)
    assert entry is not None  # weights_file knows the name
    line = f"{key} = {value}\n"
    renewed, count = re.subn(rf"(?m)^{key} = .*\n", lambda _: line, entry[0], count=1)
    if not count:
        renewed = re.sub(r"(?m)^sha256 = .*\n", lambda found: found[0] + line, entry[0], count=1)
    path.write_text(text[: entry.start()] + renewed + text[entry.end() :], encoding="utf-8")
    index.cache_clear()


if __name__ == "__main__":
    try:
        if sys.argv[1] == "--graphs":
            for name in sys.argv[2:] or names():
                ship_graphs(name)
        else:
            print(ship(Path(sys.argv[1])))
    except (Img2ImgError, IndexError) as error:
        sys.exit(f"img2img.ship: {error}")
