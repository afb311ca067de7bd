"""Make examples/clean.png and examples/noisy.png; they are committed, so this is only needed to change them."""

from pathlib import Path

import numpy as np

from img2img.benchmarks.denoise_psnr import add_noise, photographs
from img2img.data.io import Picture, read_picture, write_picture

HERE = Path(__file__).parent
SIGMA = 25  # grey levels
LEFT, WIDTH = 32, 384  # of the crop; its height is the photograph's


def pictures() -> dict[str, np.ndarray]:
    """The samples (H, W, 3) uint8 of both pictures, by file name."""
    (chelsea,) = [path for path in photographs() if path.stem == "chelsea"]
    clean = read_picture(chelsea).samples[:, LEFT : LEFT + WIDTH]
    noisy = add_noise(clean.astype(np.float64), SIGMA, "8bit").astype(np.uint8)
    return {"clean.png": clean, "noisy.png": noisy}


def main() -> None:
    """Write the pictures and print their paths."""
    for name, samples in pictures().items():
        write_picture(Picture(samples), HERE / name, "png")
        print(HERE / name)


if __name__ == "__main__":
    main()
