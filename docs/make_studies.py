"""Renew docs/studies.md from studies that were made: `docs/make_studies.py FOLDER`, as `img2img study all` fills it.

Of each study in FOLDER its findings.json and one picture are taken over into docs/studies/, unless it was made with
--quick; of the others what was taken over before stays. The page is then written from what is there.
"""

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from img2img.studies import STUDIES, About

DOCS = Path(__file__).parent
KEPT = DOCS / "studies"
# The picture of each study, and the three findings.
SHOWN = {
    "convolution": ("kernels", ("padding", "circular", "strided")),
    "upsampling": ("trained", ("one", "random", "trained")),
    "architectures": ("scale", ("table", "vgg", "deepest")),
    "lenet": ("maps", ("accuracy", "confused")),
    "features": ("inverted", ("maps", "inverted", "grams")),
    "landscape": ("contours", ("classifiers", "unets", "sharpness")),
    "bottleneck": ("curve", ("gain", "bits", "codec")),
    "retina": ("fields", ("centre", "behind", "nonlinear")),
    "denoising": ("samples", ("samples", "wiener", "prior")),
    "unet": ("cuts", ("original", "shipped", "cuts")),
}
HEAD = """# Studies

`img2img study NAME` makes one of these studies on your own machine: a page (`index.html`, with its pictures inside),
the pictures as PNGs, and `findings.json`. `img2img study all` makes every one, `img2img study list` says what there
is. They need PyTorch and matplotlib (`pip install 'img2img-suite[study]'`) and no network. Some train on MNIST or
CIFAR-10: `--data DIR` finds them as torchvision lays them out, and `--data DIR --download` lets torchvision fetch
them. `--quick` makes all of it tiny, in seconds, to see what is there; such numbers mean little.

What stands below was measured by the commands beside it (in seconds of two cores that were busy with much else) and
comes from `docs/studies/`; `docs/make_studies.py` writes this page.
"""


def take_over(folder: Path) -> None:
    """Copy what was made in earnest."""
    KEPT.mkdir(exist_ok=True)
    for about in STUDIES:
        made = folder / about.name
        if not (made / "findings.json").is_file():
            continue
        if json.loads((made / "findings.json").read_text(encoding="utf-8"))["settings"]["quick"]:
            print(f"{made}: made with --quick, left out", file=sys.stderr)
            continue
        shutil.copyfile(made / "findings.json", KEPT / f"{about.name}.json")
        shutil.copyfile(made / f"{SHOWN[about.name][0]}.png", KEPT / f"{about.name}.png")


def command(about: About, settings: dict[str, Any]) -> str:
    """What made a study."""
    words = ["img2img", "study", about.name]
    words += [settings["picture"]] if settings["picture"] else []
    words += ["--data", "DIR"] if settings["data"] else []
    words += [f"--{name}={settings[name]}" for name in ("minutes", "seed") if settings[name]]
    words += ["--thorough"] if settings["thorough"] else []
    return shlex.join(words)


def section(about: About) -> str:
    """A study's part of the page."""
    head = f"## {about.title}\n\n{about.about[0].upper() + about.about[1:]}.\n"
    path = KEPT / f"{about.name}.json"
    if not path.is_file():
        data = f" --data DIR` ({about.data})" if about.data else "`"
        return f"{head}\nNot measured yet: `img2img study {about.name}{data}.\n"
    facts = json.loads(path.read_text(encoding="utf-8"))
    lines = [facts["findings"][name] for name in SHOWN[about.name][1] if name in facts["findings"]]
    verdicts = {True: "Holds: ", False: "Does not hold here: ", None: ""}
    said = "\n".join(f"- {verdicts[line.get('holds')]}{line['sentence']}" for line in lines)
    made = f"`{command(about, facts['settings'])}`, {facts['seconds']:.0f} s"
    return f"{head}\n![{about.title}](studies/{about.name}.png)\n\n{said}\n\n{made}.\n"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        take_over(Path(sys.argv[1]))
    (DOCS / "studies.md").write_text("\n".join([HEAD, *map(section, STUDIES)]), encoding="utf-8")
