"""How good an image is: PSNR and SSIM, each computed in this one place."""

from img2img.metrics.psnr import psnr, psnr8, to_8bit
from img2img.metrics.ssim import ssim

__all__ = ["psnr", "psnr8", "ssim", "to_8bit"]
