"""Run the tutorials: prepare their pictures, run their commands one after the other, draw what they show.

`docs/make_tutorials.py [NAME...]` makes docs/tutorials/NAME.jpg of docs/tutorials/NAME.md. Whatever a page has in a
block of `sh` is run, in a folder of its own, and has to exit with 0, or with the number behind it, as in `# exit 1`.
"""

import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

HERE = Path(__file__).parent
PAGES = HERE / "tutorials"
pictures = runpy.run_path(str(HERE / "make_pictures.py"))
COMMANDS = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def enlarged(file: Path, box: tuple[int, int, int, int], times: int = 2) -> np.ndarray:
    """Part of a picture, left, top, width and height, each pixel as a square."""
    left, top, width, height = box
    with Image.open(file) as picture:
        part = picture.convert("RGB").crop((left, top, left + width, top + height))
    return np.asarray(part.resize((width * times, height * times), Image.Resampling.NEAREST))


def fitted(file: Path, height: int) -> np.ndarray:
    """The whole picture, of that height."""
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB").resize((round(picture.width * height / picture.height), height)))


def save(pixels: np.ndarray, file: Path) -> None:
    """As PNG, or as a good JPEG, by the name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, **({"quality": 90} if file.suffix == ".jpg" else {}))


# ---- what each tutorial begins with, and shows


def photographer(folder: Path) -> Callable[[], list[np.ndarray]]:
    """A photograph in little light; a folder with two more, and a file that is none."""
    from skimage import data

    save(pictures["in_little_light"]().samples, folder / "cat.jpg")
    rng = np.random.default_rng(0)
    for name, scene in (("2025/cup", data.coffee()), ("2026/astronaut", data.astronaut())):
        grains = scene + rng.normal(0, 12, scene.shape)
        save(grains.clip(0, 255).astype(np.uint8), folder / "photos" / f"{name}.jpg")
    (folder / "photos" / "2026" / "broken.jpg").write_bytes(b"not a picture")
    eye = (100, 60, 150, 150)
    names = ("cat.jpg", "cat_denoised.png", "grain.png", "strong.png")
    return lambda: [enlarged(folder / name, eye) for name in names]


def artist(folder: Path) -> Callable[[], list[np.ndarray]]:
    """A sample with its height map, a picture with a scratch, a photograph and a drawing in colours."""
    from skimage import data

    save(data.gravel()[:256, :256], folder / "gravel.png")
    save((data.gravel()[:256, :256] // 2 + 64).astype(np.uint8), folder / "height.png")
    save(data.grass()[:256, :256], folder / "grass.png")
    scratch = np.zeros((256, 256), np.uint8)
    scratch[100:140, 60:200] = 255
    save(scratch, folder / "scratch.png")
    save(data.chelsea()[20:276, 80:336], folder / "pets" / "cat.png")
    shutil.copy(HERE.parent / "examples" / "labels.png", folder / "labels.png")

    def shown() -> list[np.ndarray]:
        made = ("gravel.png", "stones.png", "lawn.png", "drawing.png", "drawing_translated.png")
        return [fitted(folder / name, 256) for name in made]

    return shown


def archivist(folder: Path) -> Callable[[], list[np.ndarray]]:
    """An album of grey photographs, and a document of two pages."""
    from skimage import data
    from skimage.color import rgb2gray

    for name, scene in (("1951/rocket", data.rocket()), ("1951/cup", data.coffee()), ("1952/camera", data.camera())):
        grey = scene if scene.ndim == 2 else (255 * rgb2gray(scene)).round().astype(np.uint8)
        save(grey, folder / "album" / f"{name}.png")
    page = data.page()
    tifffile.imwrite(folder / "letter.tif", np.stack([page, page[::-1, ::-1]]), photometric="minisblack")

    def shown() -> list[np.ndarray]:
        made = ("album/1951/rocket.png", "coloured/1951/rocket.png", "cup.png", "part.png", "half.png")
        return [fitted(folder / name, 240) for name in made]

    return shown


def researcher(folder: Path) -> Callable[[], list[np.ndarray]]:
    """A stack of three pages of floats with noise of a known level, and the same without noise."""
    from skimage import data

    first = data.moon()[128:, :384].astype(np.float32) / 255
    clean = np.stack([first, np.roll(first, 12, axis=1), np.roll(first, 24, axis=1)])
    noisy = clean + np.random.default_rng(0).normal(0, 15 / 255, clean.shape).astype(np.float32)
    tifffile.imwrite(folder / "stack.tif", noisy, imagej=True, metadata={"axes": "TYX", "finterval": 2.0})
    save(np.asarray(data.coffee()[:256, :256]), folder / "clean" / "cup.png")
    save(np.asarray(data.astronaut()[:256, :256]), folder / "clean" / "astronaut.png")

    def shown() -> list[np.ndarray]:
        made = tifffile.imread(folder / "stack_denoised.tif")
        with tifffile.TiffFile(folder / "stack_denoised.tif") as file:
            print(f"imagej: {file.imagej_metadata}")
        for name, stack in (("noisy", noisy), ("denoised", made)):
            errors = np.square(stack.astype(np.float64) - clean).mean(axis=(1, 2))
            print(f"{name}: {made.shape} {made.dtype}", " / ".join(f"{-10 * np.log10(error):.2f}" for error in errors))
        panels = (255 * np.stack([noisy[0], made[0], clean[0]])[:, 40:300, 60:320]).clip(0, 255).astype(np.uint8)
        return [np.repeat(panel[:, :, None], 3, axis=2) for panel in panels]

    return shown


TUTORIALS = {"photographer": photographer, "artist": artist, "archivist": archivist, "researcher": researcher}


# ---- running them


def run(command: str, folder: Path) -> None:
    """Run one line, and say what it printed.

    Raises:
        SystemExit: it exited with another number than its line says.
    """
    wanted = re.search(r"# exit (\d+)", command)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env={"PATH": path, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    print(f"$ {command}\n{done.stdout}{done.stderr}".rstrip())
    if done.returncode != (int(wanted[1]) if wanted else 0):
        raise SystemExit(f"{command} exited with {done.returncode}")


def make(name: str) -> Path:
    """Run a tutorial and draw its picture."""
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as place:
        shown = TUTORIALS[name](Path(place))
        for command in "".join(COMMANDS.findall(page)).splitlines():
            if command.strip() and not command.startswith("#"):
                run(command, Path(place))
        save(pictures["side_by_side"](*shown()), PAGES / f"{name}.jpg")
    return PAGES / f"{name}.jpg"


if __name__ == "__main__":
    for chosen in sys.argv[1:] or TUTORIALS:
        print(make(chosen))
