"""Make the pictures of examples/; they are committed, so this is only needed to change them."""

from pathlib import Path

import numpy as np

from img2img.benchmarks.denoise_psnr import add_noise, photographs
from img2img.benchmarks.facade_labels import CLASSES, COLOURS
from img2img.images import Picture, read_picture, write_picture

HERE = Path(__file__).parent
SIGMA = 25  # grey levels
LEFT, WIDTH = 32, 384  # of the crop; its height is the photograph's
FLOORS, WINDOWS = (72, 124), (48, 84, 120, 156, 192)  # rows and columns at which the house's windows begin


def house() -> np.ndarray:
    """Labels of a house as those of the CMP facades are coloured, (256, 256, 3) uint8."""
    labels = np.zeros((256, 256), np.uint8)  # all background

    def paint(what: str, top: int, bottom: int, left: int, right: int) -> None:
        labels[top:bottom, left:right] = CLASSES.index(what)

    paint("facade", 44, 240, 32, 224)
    paint("cornice", 44, 54, 32, 224)
    paint("moulding", 168, 174, 32, 224)
    for left in WINDOWS:
        for top in FLOORS:
            paint("window", top, top + 32, left, left + 20)
            paint("sill", top + 32, top + 36, left - 2, left + 22)
        paint("shop", 184, 228, left, left + 24)
    paint("balcony", 148, 160, 112, 148)
    paint("door", 184, 240, 116, 148)
    return np.array(COLOURS, np.uint8)[labels]


def pictures() -> dict[str, np.ndarray]:
    """The samples (H, W, 3) uint8 of each picture, by file name."""
    (chelsea,) = [path for path in photographs() if path.stem == "chelsea"]
    clean = read_picture(chelsea).samples[:, LEFT : LEFT + WIDTH]
    noisy = add_noise(clean.astype(np.float64), SIGMA, "8bit").astype(np.uint8)
    return {"clean.png": clean, "noisy.png": noisy, "labels.png": house()}


def main() -> None:
    """Write the pictures and print their paths."""
    for name, samples in pictures().items():
        write_picture(Picture(samples), HERE / name, "png")
        print(HERE / name)


if __name__ == "__main__":
    main()
