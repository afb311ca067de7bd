"""Denoise examples/noisy.png with the shipped weights and compare it with the clean original: `make demo`."""

from pathlib import Path

from img2img.images import read_picture, write_picture
from img2img.metrics import psnr8
from img2img.tasks.denoise import Denoiser

HERE = Path(__file__).parent
WEIGHTS = "denoise-photo"


def main() -> None:
    """Print the PSNR before and after, and where the result is."""
    clean = read_picture(HERE / "clean.png").to_array()
    picture = read_picture(HERE / "noisy.png")
    noisy = picture.to_array()
    denoiser = Denoiser.from_pretrained(WEIGHTS)
    denoised = denoiser(noisy)
    result = HERE / "denoised.png"
    write_picture(picture.with_array(denoised), result, "png")
    print(f"{HERE.name}/noisy.png, {picture.width}x{picture.height}, weights {WEIGHTS}")
    print(f"noise found:      {255 * denoiser.estimate_sigma(noisy):.1f} grey levels")
    print(f"PSNR before:      {psnr8(clean, noisy):.2f} dB")
    print(f"PSNR after:       {psnr8(clean, denoised):.2f} dB")
    print(f"the result is in  {result}")


if __name__ == "__main__":
    main()
