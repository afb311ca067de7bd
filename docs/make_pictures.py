"""Make docs/before_after.png for the README: examples/noisy.png beside what the shipped default makes of it."""

from pathlib import Path

import numpy as np

from img2img.data.io import Picture, read_picture, write_picture

HERE = Path(__file__).parent
GAP = 8  # white pixels between the two


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Two pictures (H, W, 3) of one height with a white gap between them."""
    gap = np.full((left.shape[0], GAP, 3), 255, dtype=left.dtype)
    return np.concatenate([left, gap, right], axis=1)


def main() -> None:
    """Denoise as `img2img denoise examples/noisy.png` does, write the picture and print its path."""
    from img2img.tasks.denoise import Denoiser

    noisy = read_picture(HERE.parent / "examples" / "noisy.png")
    # The CPU in fp32, so that the picture does not depend on whose machine made it.
    denoiser = Denoiser.from_pretrained(device="cpu", precision="fp32")
    denoised = noisy.with_tensor(denoiser(noisy.to_tensor()))
    target = HERE / "before_after.png"
    write_picture(Picture(side_by_side(noisy.samples, denoised.samples)), target, "png")
    print(target)


if __name__ == "__main__":
    main()
